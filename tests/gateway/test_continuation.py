"""A replica may die at any token: the client sees one unbroken answer."""

import asyncio
from typing import Any

import pytest

from cluster.core.events import Feature, FirstToken, LeaseStarted, StreamLost, TurnFinished
from cluster.deployments.fake import FakeEngine, FakeSettings
from tests.gateway.home import home
from tests.gateway.streams import stream
from tests.support.pace import Pace

ANSWER = '<think>🔥 why?</think>Grüße 世界 <tool_call>{"name": "add", "arguments": {"a": "ß"}}</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "add"}}]
AGENT: dict[str, Any] = {"answer": ANSWER, "formats": ("think", "hermes")}
GRAMMAR = {"features": frozenset({Feature.CHAT, Feature.GRAMMAR, Feature.MEASURE})}


def engine(**told: Any) -> FakeEngine:  # noqa: ANN401 - settings of any type
    return FakeEngine(FakeSettings(**{**AGENT, **told}))


@pytest.mark.parametrize("cut", [0, 1, 3, 8, 9, 10, 11, 24, 30, 41, 60, 88, len(ANSWER.encode()) - 1])
async def test_the_message_and_its_usage_are_those_of_an_unbroken_answer(cut: int) -> None:
    async with home(engine()) as pool:
        whole = await stream(pool, "Hello", tools=TOOLS, max_tokens=500)
    async with home(engine(die_after_tokens=cut), engine(prefill_tps=1000.0)) as pool:
        cut_up = await stream(pool, "Hello", tools=TOOLS, max_tokens=500)
        lost = pool.switch.told(StreamLost)
        finished = await pool.switch.hear(TurnFinished)
    assert [event.continuable for event in lost] == [True], "the answer was cut once"
    assert lost[0].generated_tokens <= cut
    assert (cut_up.content, cut_up.reasoning, cut_up.calls) == (whole.content, whole.reasoning, whole.calls)
    assert (cut_up.reasons, cut_up.usage) == (whole.reasons, whole.usage)
    assert cut_up.hearth["node"] == "node-2"
    assert finished.completion_tokens == len(ANSWER.encode())


async def test_max_tokens_count_over_the_cut() -> None:
    async with home(engine(die_after_tokens=20), engine(prefill_tps=1000.0)) as pool:
        said = await stream(pool, "Hello", max_tokens=26)
    assert said.reasons == ["length"]
    assert said.usage["completion_tokens"] == 26


async def test_a_stop_string_is_seen_over_the_cut() -> None:
    told = {"answer": "one two three four", "formats": ()}
    async with home(engine(**told, die_after_tokens=6), engine(**told, prefill_tps=1000.0)) as pool:
        said = await stream(pool, "Hello", stop=["three"])
        assert pool.switch.told(StreamLost)
    assert (said.content, said.reasons) == ("one two ", ["stop"])


async def test_an_answer_that_follows_a_schema_fails_clearly_where_it_cannot_go_on() -> None:
    dying, other = engine(**GRAMMAR, die_after_tokens=3), engine(**GRAMMAR, prefill_tps=1000.0)
    async with home(dying, other) as pool:
        said = await stream(pool, "Hello", response_format={"type": "json_object"})
    assert said.error["code"] == "server_error"
    assert "cannot be continued" in said.error["message"]
    assert len(said.content) > 0


async def test_before_its_first_token_such_an_answer_begins_elsewhere_unseen() -> None:
    dying, other = engine(**GRAMMAR, die_after_tokens=0), engine(**GRAMMAR, prefill_tps=1000.0)
    async with home(dying, other) as pool:
        said = await stream(pool, "Hello", response_format={"type": "json_object"})
    assert said.content == ANSWER
    assert said.reasons == ["stop"]


async def test_a_preempted_answer_goes_on() -> None:
    pace = Pace()
    paced = FakeEngine(FakeSettings(answer="0123456789", decode_tps=100.0), pace.sleep)
    async with home(paced) as pool:
        pace.let(4)
        answer = asyncio.create_task(stream(pool, "Hello"))
        await pool.switch.hear(FirstToken)
        started = await pool.switch.hear(LeaseStarted)
        pool.replicas[0].front.preempt(started.lease)
        lost = await pool.switch.hear(StreamLost)
        pace.free()
        said = await answer
    assert (lost.preempted, lost.continuable) == (True, True)
    assert said.content == "0123456789"
    assert said.usage["completion_tokens"] == 10
