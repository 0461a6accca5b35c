"""The fake engine: it keeps the contract, and fails as it is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from cluster.core.facts import Feature
from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineLost
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.wire import Delta, EmbedRequest, Tokens
from tests.engines import claims
from tests.engines.contract import IdsContract
from tests.engines.embeds import TEXTS, OwnEmbeds
from tests.engines.kit import EngineKit, Running, answer, ask, failed, rest_of
from tests.engines.shapes import ANSWERS

SETTINGS = FakeSettings(
    answer="Grüße an die ganze Welt 🔥 und weiter",
    answers=ANSWERS,
    formats=("think", "hermes"),
    features=frozenset(Feature) - {Feature.IMAGES},
    window_tokens=4096,
    kv_tokens=4 * 4096,
    batch_tokens=256,
)


async def num_running(engine: Engine) -> int:
    return len(cast(FakeEngine, engine).running)


async def kill(engine: Engine) -> None:
    cast(FakeEngine, engine).die("killed by the test")


class TestFake(IdsContract):
    claim = claims.FAKE

    @pytest.fixture
    def kit(self) -> EngineKit:
        return EngineKit(
            make=lambda: FakeEngine(SETTINGS),
            make_broken=lambda: FakeEngine(FakeSettings(fail_start="There is no such file.")),
            question="Was gibt es?",
            num_running=num_running,
            kill=kill,
            leftovers=lambda _: [],
            control_ids=frozenset(range(256, 261)),
            control_words=("<|user|>", "<|im_end|>"),
            num_prefix_tokens=8,
        )


class TestEmbeddings(OwnEmbeds):
    claim = claims.FAKE

    @pytest.fixture
    async def running(self) -> Running:
        engine = FakeEngine(FakeSettings(features=frozenset({Feature.EMBEDDINGS})))
        return Running(engine, await engine.start(lambda _: None), [])

    async def vectors(self) -> Sequence[Sequence[float]]:
        """Its own, which mean nothing."""
        running = await fake(FakeSettings())
        return (await running.embed(EmbedRequest("turn", SessionKey("t", "e"), "fake", TEXTS))).vectors


async def fake(settings: FakeSettings) -> FakeEngine:
    engine = FakeEngine(settings)
    await engine.start(lambda _: None)
    return engine


async def test_it_echoes_or_says_what_it_was_told() -> None:
    echo = await fake(FakeSettings())
    assert (await answer(echo, ask("hello"))).text == "hello"
    told = await fake(FakeSettings(answer="no", answers={"ping": "pong"}))
    assert (await answer(told, ask("ping"))).text == "pong"
    assert (await answer(told, ask("else"))).text == "no"


async def test_text_comes_in_whole_characters() -> None:
    engine = await fake(FakeSettings())
    assert (await answer(engine, ask("ü🔥"))).text == "ü🔥"
    pieces = [frame.text for frame in (await answer(engine, ask("🔥"))).frames if hasattr(frame, "text")]
    assert pieces == ["", "", "", "🔥"]


async def test_it_tells_when_it_is_given_more_than_it_holds() -> None:
    engine = await fake(FakeSettings(kv_tokens=20))
    assert failed(await answer(engine, ask("x" * 15))).code == "over_capacity"
    assert engine.num_over_capacity == 1


async def test_idle_sessions_count_where_they_hold_memory_and_slots() -> None:
    engine = await fake(FakeSettings(num_slots=1))
    await answer(engine, ask("x", "a"))
    assert failed(await answer(engine, ask("x", "b"))).code == "over_capacity"
    await engine.evict(SessionKey("t", "a"))
    await engine.evict(SessionKey("t", "b"))
    assert (await answer(engine, ask("x", "c"))).ended


async def test_it_dies_when_told() -> None:
    engine = await fake(FakeSettings(die_after_tokens=3))
    request = ask("hello")
    frames = engine.generate(request, await engine.prepare(request))
    pieces = [await anext(frames) for _ in range(5)]
    assert [frame.text for frame in pieces if isinstance(frame, Tokens)] == ["h", "e", "l"]
    with pytest.raises(EngineLost):
        await rest_of(frames)
    assert await engine.died() == "told to die after 3 tokens"


async def test_it_hangs_when_told_until_it_is_stopped() -> None:
    engine = await fake(FakeSettings(hang_after_tokens=0))
    hanging = asyncio.create_task(answer(engine, ask("hello")))
    done, _ = await asyncio.wait({hanging}, timeout=0.05)
    assert not done
    await engine.stop()
    with pytest.raises(EngineLost):
        await hanging


async def test_it_runs_at_the_speed_it_is_told() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    engine = FakeEngine(FakeSettings(prefill_tps=100, decode_tps=10, batch_tokens=4), sleep)
    await engine.start(lambda _: None)
    await answer(engine, ask("hello"))
    assert slept == [0.04, 0.04, *[0.1] * 5]


async def test_with_a_grammar_it_answers_in_deltas() -> None:
    engine = await fake(FakeSettings(answer="{}", features=frozenset({Feature.CHAT, Feature.GRAMMAR})))
    request = replace(ask("json, please"), response_format={"type": "json_object"})
    answered = await answer(engine, request)
    assert [frame.delta for frame in answered.frames if isinstance(frame, Delta)] == [
        {"content": "{"},
        {"content": "}"},
    ]
