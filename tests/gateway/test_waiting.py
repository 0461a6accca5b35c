"""The two phases of waiting, and a router that goes away."""

import asyncio
from dataclasses import replace

from cluster.core.context import Limits
from cluster.core.events import LeaseStarted, TurnArrived
from cluster.deployments.engine import Prompt
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.gateway.turns import TurnLimits
from cluster.gateway.waiting import WaitTimes
from cluster.wire import TurnRequest
from tests.gateway.home import SETTINGS, home, running_router
from tests.gateway.streams import Said, stream, streaming
from tests.support.pace import Pace

QUICK = replace(SETTINGS, turns=TurnLimits(keepalive_s=0.05, wait=WaitTimes(commit_s=2.0, announce_s=0.2)))
COMMITTING = Limits(commit_after_s=0.1)


def one_slot(pace: Pace) -> FakeEngine:
    return FakeEngine(FakeSettings(answer="x" * 9, decode_tps=100.0, num_slots=1), pace.sleep)


async def test_who_waits_gets_a_200_and_signs_of_life_then_the_answer_and_its_place() -> None:
    pace = Pace()
    async with home(one_slot(pace), settings=QUICK, limits=COMMITTING) as pool, streaming(pool, "first"):
        await pool.switch.hear(LeaseStarted)
        async with streaming(pool, "second") as (answer, chunks):
            assert answer.headers["x-hearth-node"] == "pending"
            waiting = [await anext(chunks) for _ in range(4)]
            deltas = [chunk["choices"][0]["delta"] for chunk in waiting]
            assert deltas == [{"role": "assistant", "content": ""}] * 4
            pace.free()
            said = Said([*waiting, *[chunk async for chunk in chunks]])
    assert said.content == "x" * 9
    assert (said.hearth["node"], said.hearth["engine"], said.hearth["locality"]) == (
        "node-1",
        "fake",
        "local",
    )


async def test_beyond_patience_it_is_a_503_that_says_how_long_and_when_to_come_again() -> None:
    pace = Pace()
    impatient = replace(SETTINGS, turns=TurnLimits(patience_s=0.001))
    slow = FakeEngine(FakeSettings(answer="x" * 9, decode_tps=0.01, num_slots=1), pace.sleep)
    async with home(slow, settings=impatient) as pool, streaming(pool, "first"):
        await pool.switch.hear(LeaseStarted)
        status, body, headers = await pool.post(
            "/v1/chat/completions", {"model": "fake", "messages": [{"role": "user", "content": "second"}]}
        )
        pace.free()
    assert status == 503
    assert (body["error"]["type"], body["error"]["code"]) == ("overloaded_error", "overloaded")
    assert "overloaded" in body["error"]["message"]
    assert 1 <= int(headers["Retry-After"]) <= 30


async def test_a_full_queue_is_the_same_503() -> None:
    pace, limits = Pace(), Limits(queue=1, commit_after_s=0.1)
    async with home(one_slot(pace), settings=QUICK, limits=limits) as pool, streaming(pool, "first"):
        await pool.switch.hear(LeaseStarted)
        async with streaming(pool, "second") as (_, chunks):
            await anext(chunks)
            status, body, _ = await pool.post(
                "/v1/chat/completions", {"model": "fake", "messages": [{"role": "user", "content": "3"}]}
            )
            pace.free()
    assert (status, body["error"]["code"]) == (503, "overloaded")


async def test_streams_go_on_without_a_router_and_who_waits_is_told_to_the_next_one() -> None:
    pace = Pace()
    async with home(one_slot(pace), settings=QUICK) as pool, streaming(pool, "first") as (_, chunks):
        await pool.switch.hear(LeaseStarted)
        pool.switch.router = None
        second = asyncio.create_task(stream(pool, "second"))
        pace.free()
        assert Said([chunk async for chunk in chunks]).content == "x" * 9
        assert not second.done()
        async with running_router(epoch=2) as router:
            pool.switch.router = router
            assert (await asyncio.wait_for(second, 10)).content == "x" * 9
            assert pool.switch.told(TurnArrived)[-1].waited_s > 0


async def test_a_router_that_is_replaced_while_turns_run_and_wait_loses_none() -> None:
    pace = Pace()
    async with home(one_slot(pace), settings=QUICK, limits=COMMITTING) as pool:
        turns = [asyncio.create_task(stream(pool, f"turn {number}")) for number in range(6)]
        await pool.switch.hear(LeaseStarted)
        async with running_router(epoch=2, limits=COMMITTING) as router:
            pool.switch.router = router
            pace.free()
            said = await asyncio.wait_for(asyncio.gather(*turns), 20)
            assert [one.content for one in said] == ["x" * 9] * 6
            assert (await router.view()).epoch == 2


async def test_without_any_router_the_gateway_commits_by_itself() -> None:
    lonely = replace(SETTINGS, turns=TurnLimits(keepalive_s=0.05, wait=WaitTimes(commit_s=0.1, total_s=0.5)))
    async with home(FakeEngine(), settings=lonely) as pool:
        pool.switch.router, router = None, pool.switch.router
        said = await stream(pool, "Hello")
        pool.switch.router = router
    assert said.error["code"] == "overloaded"
    assert "no place within" in said.error["message"]


async def test_a_gateway_that_is_full_says_so() -> None:
    pace = Pace()
    full = replace(SETTINGS, turns=TurnLimits(num_turns=1))
    async with home(one_slot(pace), settings=full) as pool, streaming(pool, "first"):
        await pool.switch.hear(LeaseStarted)
        status, body, headers = await pool.post(
            "/v1/chat/completions", {"model": "fake", "messages": [{"role": "user", "content": "second"}]}
        )
        pace.free()
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "overloaded", "1")


SLOW = FakeSettings(answer="x" * 9, decode_tps=100.0, num_slots=1)


class HangsOnce(FakeEngine):
    """Never says how long the first prompt with this text is that it is asked for."""

    def __init__(self, pace: Pace, text: str) -> None:
        super().__init__(SLOW, pace.sleep)
        self._text, self.is_asked = text, asyncio.Event()

    async def prepare(self, request: TurnRequest) -> Prompt:
        if self._text in str(request.messages) and not self.is_asked.is_set():
            self.is_asked.set()
            await asyncio.Event().wait()
        return await super().prepare(request)


async def test_a_turn_that_is_measured_while_it_waits_takes_its_place_before_that_is_known() -> None:
    pace = Pace()
    engine = HangsOnce(pace, "second")
    async with home(engine, settings=QUICK) as pool, streaming(pool, "first"), asyncio.timeout(3):
        await pool.switch.hear(LeaseStarted)
        async with streaming(pool, "second") as (_, chunks):
            await engine.is_asked.wait()
            pace.free()
            said = Said([chunk async for chunk in chunks])
    assert said.content == "x" * 9


async def test_too_long_for_who_measures_is_not_too_long_for_another() -> None:
    pace = Pace()
    small, large = (
        FakeEngine(SLOW.model_copy(update={"kv_tokens": size, "window_tokens": size}), pace.sleep)
        for size in (1000, 8000)
    )
    async with (
        home(small, large, settings=QUICK) as pool,
        asyncio.timeout(10),
        streaming(pool, "one"),
        streaming(pool, "two"),
    ):
        await pool.switch.hear(LeaseStarted)
        await pool.switch.hear(LeaseStarted)
        async with streaming(pool, "y" * 3000, max_tokens=20) as (_, chunks):
            await anext(chunks)
            pace.free()
            said = Said([chunk async for chunk in chunks])
    assert said.content == "x" * 9
