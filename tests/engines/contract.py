"""What every engine has to do, embedded, remote or fake.

An engine's own test file says how to make one and inherits the tests:

    class TestFake(IdsContract):
        @pytest.fixture
        def kit(self) -> EngineKit: ...

`EngineContract` is for all engines, `IdsContract` for those that take and give token ids.  `claim` says what
the engine has and lacks (claims.py), which docs/engines.md tells.  An engine whose start is dear
overrides `running` to share one, as test_vllm.py does: the tests that end it come last.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from cluster.core.errors import InvalidRequest
from cluster.core.facts import Feature
from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineFacts, EngineFault, EngineLost
from cluster.wire import EmbedRequest, Ended, Progress, Started
from tests.engines.claims import UNNAMED, Ability, Claim, shows
from tests.engines.ids import Ids
from tests.engines.kit import EngineKit, Running, answer, ask, begun, rest_of, started
from tests.engines.shapes import Shapes


class _Ordinary:
    """What an engine does while it runs."""

    claim: Claim = UNNAMED

    @pytest.fixture
    def kit(self) -> EngineKit:
        raise NotImplementedError("say how to make this engine")

    @pytest.fixture
    async def running(self, kit: EngineKit) -> AsyncGenerator[Running]:
        async with started(kit) as running:
            yield running

    @pytest.fixture
    def engine(self, running: Running) -> Engine:
        return running.engine

    @pytest.fixture
    def facts(self, running: Running) -> EngineFacts:
        return running.facts

    @shows(Ability.KV)
    async def test_a_start_tells_what_there_is(self, running: Running) -> None:
        facts, capacity = running.facts, running.facts.capacity
        assert running.loadings
        assert all(loading.stage for loading in running.loadings)
        assert facts.engine
        assert facts.model
        assert facts.model_hash
        assert min(capacity.kv_tokens, capacity.window_tokens, capacity.num_slots) >= 1
        assert capacity.block_tokens >= 1
        assert facts.speed.prefill_tps > 0 < facts.speed.decode_tps
        assert Feature.CHAT in facts.features

    @shows(Ability.TURNS)
    async def test_frames_come_in_order(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        frames = (await answer(engine, ask(kit.question))).frames
        assert not any(isinstance(frame, Started) for frame in frames)
        kinds = [0 if isinstance(frame, Progress) else 1 for frame in frames[:-1]]
        assert kinds == sorted(kinds)
        assert 1 in kinds
        assert isinstance(frames[-1], Ended)

    @shows(Ability.PROGRESS)
    async def test_progress_grows_to_the_whole_prompt(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        answered = await answer(engine, ask(kit.question))
        steps = [frame for frame in answered.frames if isinstance(frame, Progress)]
        assert [step.processed for step in steps] == sorted(step.processed for step in steps)
        assert all(step.cached <= step.processed <= step.total for step in steps)
        assert {step.total for step in steps} <= {answered.ended.prompt_tokens}

    @shows(Ability.PROGRESS)
    async def test_a_long_prompt_is_told_in_steps(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        num = facts.capacity.window_tokens // 8
        answered = await answer(engine, ask("word " * num, "long", max_tokens=1))
        steps = [frame for frame in answered.frames if isinstance(frame, Progress)]
        inner = [step for step in steps if step.cached < step.processed < step.total]
        assert bool(inner) == self.claim.has(Ability.PROGRESS)

    @shows(Ability.TURNS)
    async def test_greedy_answers_repeat(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        first = await answer(engine, ask(kit.question, "a"))
        again = await answer(engine, ask(kit.question, "b"))
        assert first.text == again.text != ""

    @shows(Ability.TURNS)
    async def test_max_tokens_ends_an_answer_by_length(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        ended = (await answer(engine, ask(kit.question, max_tokens=3))).ended
        assert (ended.reason, ended.completion_tokens) == ("length", 3)

    @shows(Ability.CANCEL)
    async def test_closing_the_generator_frees_the_sequence(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        frames = await begun(engine, ask(kit.question, max_tokens=None))
        await asyncio.wait_for(frames.aclose(), 10)
        assert await kit.num_running(engine) == 0
        assert (await answer(engine, ask(kit.question))).ended

    @shows(Ability.CANCEL)
    async def test_cancelling_the_reader_frees_the_sequence(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        request = ask(kit.question, max_tokens=None)
        first = asyncio.Event()

        async def read() -> None:
            async with aclosing(engine.generate(request, await engine.prepare(request))) as frames:
                async for _ in frames:
                    first.set()

        reader = asyncio.create_task(read())
        await asyncio.wait_for(first.wait(), 60)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reader, 10)
        assert await kit.num_running(engine) == 0

    @shows(Ability.CANCEL)
    async def test_a_generator_that_was_never_read_holds_nothing(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        request = ask(kit.question)
        frames = engine.generate(request, await engine.prepare(request))
        await frames.aclose()
        assert await kit.num_running(engine) == 0

    @shows(Ability.BATCHES)
    async def test_as_many_turns_at_once_as_there_are_slots(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        alone = await answer(engine, ask(kit.question))
        num = min(facts.capacity.num_slots, 4)
        await engine.evict(SessionKey("t", "s"))
        requests = [ask(kit.question, f"s{number}") for number in range(num)]
        answers = await asyncio.gather(*(answer(engine, request) for request in requests))
        assert [one.text for one in answers] == [alone.text] * num

    @shows(Ability.KV)
    async def test_it_tells_whether_it_knows_its_memory(self, facts: EngineFacts) -> None:
        assert facts.capacity.estimated != self.claim.has(Ability.KV)

    @shows(Ability.IDS)
    async def test_a_size_is_known_before_or_not_at_all(self, engine: Engine, facts: EngineFacts) -> None:
        assert ((await engine.prepare(ask("x"))).tokens is not None) == self.claim.has(Ability.IDS)

    @shows(Ability.CONTINUES)
    async def test_ids_are_taken_or_refused(self, engine: Engine, facts: EngineFacts) -> None:
        request = replace(ask("x"), messages=None, ids=(65, 66, 67))
        if self.claim.has(Ability.CONTINUES):
            assert (await engine.prepare(request)).ids == request.ids
            return
        with pytest.raises(InvalidRequest):
            await engine.prepare(request)

    @shows(Ability.EVICTS)
    async def test_evicting_an_unknown_session_is_no_fault(self, engine: Engine, facts: EngineFacts) -> None:
        await engine.evict(SessionKey("t", "nobody"))

    @shows(Ability.IMAGES)
    async def test_what_it_lacks_is_a_clear_refusal(self, engine: Engine, facts: EngineFacts) -> None:
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
        wanted = {
            Feature.IMAGES: replace(ask("x"), messages=(image,)),
            Feature.GRAMMAR: replace(ask("x"), response_format={"type": "json_object"}),
        }
        for feature in wanted.keys() - facts.features:
            with pytest.raises(InvalidRequest):
                await engine.prepare(wanted[feature])

    async def test_embeddings_are_one_vector_an_input_or_a_refusal(
        self, engine: Engine, facts: EngineFacts
    ) -> None:
        request = EmbedRequest("turn", SessionKey("t", "e"), "any", ("one", "two", "one"))
        if Feature.EMBEDDINGS not in facts.features:
            with pytest.raises(InvalidRequest):
                await engine.embed(request)
            return
        made = await engine.embed(request)
        first, second, third = made.vectors
        assert len({len(vector) for vector in made.vectors}) == 1
        assert first == pytest.approx(third)
        assert first != pytest.approx(second)
        assert made.prompt_tokens > 0


class _Ends:
    """How an engine ends, and how it never begins."""

    @shows(Ability.CRASH)
    async def test_a_start_that_fails_says_what_to_do_and_leaves_nothing(self, kit: EngineKit) -> None:
        engine = kit.make_broken()
        with pytest.raises(EngineFault) as caught:
            async with asyncio.timeout(kit.start_s):
                await engine.start(lambda _: None)
        assert caught.value.problem
        assert caught.value.remedy
        await engine.stop()
        assert kit.leftovers(engine) == []

    @shows(Ability.CRASH)
    async def test_a_stop_may_come_before_the_start(self, kit: EngineKit) -> None:
        engine = kit.make()
        await engine.stop()
        await engine.stop()
        assert kit.leftovers(engine) == []

    @shows(Ability.CRASH)
    async def test_a_crash_is_told_and_breaks_what_runs(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        died = asyncio.create_task(engine.died())
        frames = await begun(engine, ask(kit.question, max_tokens=None))
        assert not died.done()
        await kit.kill(engine)
        with pytest.raises(EngineLost):
            await asyncio.wait_for(rest_of(frames), 10)
        assert await asyncio.wait_for(died, 10)
        with pytest.raises(EngineLost):
            await answer(engine, ask(kit.question))

    @shows(Ability.CRASH)
    async def test_a_stop_leaves_nothing_and_may_come_twice(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        await engine.stop()
        await engine.stop()
        assert kit.leftovers(engine) == []


class EngineContract(_Ends, Shapes, _Ordinary):
    """For every engine."""


class IdsContract(_Ends, Shapes, Ids, _Ordinary):
    """For engines that take and give token ids: their answers can go on elsewhere."""
