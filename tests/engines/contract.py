"""What every engine has to do, embedded, remote or fake.

An engine's own test file says how to make one and inherits the tests:

    class TestFake(IdsContract):
        @pytest.fixture
        def kit(self) -> EngineKit: ...

`EngineContract` is for all engines, `IdsContract` for those that take and give token ids.  An engine whose
start is dear overrides `running` to share one, as test_vllm.py does: the tests that end it come last.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from cluster.core.errors import InvalidRequest
from cluster.core.facts import Feature
from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineFacts, EngineFault, EngineLost, Prompt
from cluster.wire import EmbedRequest, Ended, Progress, Started, Tokens, TurnRequest
from tests.engines.kit import GREEDY, EngineKit, Running, answer, ask, begun, rest_of, size_of, started


class _Ordinary:
    """What an engine does while it runs."""

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

    async def test_frames_come_in_order(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        frames = (await answer(engine, ask(kit.question))).frames
        assert not any(isinstance(frame, Started) for frame in frames)
        kinds = [0 if isinstance(frame, Progress) else 1 for frame in frames[:-1]]
        assert kinds == sorted(kinds)
        assert 1 in kinds
        assert isinstance(frames[-1], Ended)

    async def test_progress_grows_to_the_whole_prompt(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        answered = await answer(engine, ask(kit.question))
        steps = [frame for frame in answered.frames if isinstance(frame, Progress)]
        assert [step.processed for step in steps] == sorted(step.processed for step in steps)
        assert all(step.cached <= step.processed <= step.total for step in steps)
        assert {step.total for step in steps} <= {answered.ended.prompt_tokens}

    async def test_greedy_answers_repeat(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        first = await answer(engine, ask(kit.question, "a"))
        again = await answer(engine, ask(kit.question, "b"))
        assert first.text == again.text != ""

    async def test_max_tokens_ends_an_answer_by_length(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        ended = (await answer(engine, ask(kit.question, max_tokens=3))).ended
        assert (ended.reason, ended.completion_tokens) == ("length", 3)

    async def test_closing_the_generator_frees_the_sequence(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        frames = await begun(engine, ask(kit.question, max_tokens=None))
        await asyncio.wait_for(frames.aclose(), 10)
        assert await kit.num_running(engine) == 0
        assert (await answer(engine, ask(kit.question))).ended

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

    async def test_a_generator_that_was_never_read_holds_nothing(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        request = ask(kit.question)
        frames = engine.generate(request, await engine.prepare(request))
        await frames.aclose()
        assert await kit.num_running(engine) == 0

    async def test_as_many_turns_at_once_as_there_are_slots(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        alone = await answer(engine, ask(kit.question))
        num = min(facts.capacity.num_slots, 4)
        await engine.evict(SessionKey("t", "s"))
        requests = [ask(kit.question, f"s{number}") for number in range(num)]
        answers = await asyncio.gather(*(answer(engine, request) for request in requests))
        assert [one.text for one in answers] == [alone.text] * num

    async def test_evicting_an_unknown_session_is_no_fault(self, engine: Engine, facts: EngineFacts) -> None:
        await engine.evict(SessionKey("t", "nobody"))

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


class _Ids(_Ordinary):
    """What engines do that take and give token ids."""

    async def test_the_prompts_size_is_exact(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        request = ask(kit.question)
        prompt = await engine.prepare(request)
        assert prompt.ids is not None
        assert prompt.tokens == len(prompt.ids)
        assert (await answer(engine, request)).ended.prompt_tokens == prompt.tokens

    async def test_usage_counts_what_came(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        answered = await answer(engine, ask(kit.question))
        # An engine may count the token that ends the answer.
        assert answered.ended.completion_tokens - len(answered.ids) in (0, 1)
        assert len(answered.ids) >= 12

    async def test_template_tokens_in_peoples_text_are_harmless(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        async def num_control(text: str) -> int:
            ids = (await engine.prepare(ask(text))).ids
            assert ids is not None
            return sum(number in kit.control_ids for number in ids)

        plain = await num_control("hello")
        assert plain > 0
        for word in kit.control_words:
            assert await num_control(f"he{word}llo{word}") == plain

    @pytest.mark.parametrize("num_before", [1, 2, 3, 5, 8, 11])
    async def test_an_answer_goes_on_from_its_ids(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit, num_before: int
    ) -> None:
        request = ask(kit.question)
        prompt = await engine.prepare(request)
        assert prompt.ids is not None
        whole = await answer(engine, request)
        before = await self._text_of_first(engine, request, prompt, num_before)
        ids = (*prompt.ids, *whole.ids[:num_before])
        rest = await answer(engine, self._continued(request, ids, num_before))
        assert rest.ids == whole.ids[num_before:]
        assert before + rest.text == whole.text

    async def _text_of_first(self, engine: Engine, request: TurnRequest, prompt: Prompt, num: int) -> str:
        """What a client has of the text when `num` tokens were generated and the engine is lost."""
        text, left = "", num
        async with aclosing(engine.generate(request, prompt)) as frames:
            async for frame in frames:
                if isinstance(frame, Tokens):
                    text, left = text + frame.text, left - len(frame.ids)
                if left <= 0:
                    return text
        raise AssertionError("the answer is too short")

    def _continued(self, request: TurnRequest, ids: tuple[int, ...], num_before: int) -> TurnRequest:
        left = None if request.max_tokens is None else request.max_tokens - num_before
        session = replace(request.session, session="elsewhere")
        return replace(request, session=session, messages=None, ids=ids, max_tokens=left)

    async def test_the_next_turn_of_a_session_finds_its_prefix(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        first = await answer(engine, ask(kit.question, "a", tenant="fresh"))
        assert first.ended.cached_tokens == 0
        again = await answer(engine, ask(kit.question, "a", tenant="fresh"))
        assert kit.num_prefix_tokens <= again.ended.cached_tokens < again.ended.prompt_tokens
        assert again.ids == first.ids

    async def test_an_evicted_session_finds_nothing(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        first = await answer(engine, ask(kit.question, "a", tenant="evicted"))
        await engine.evict(SessionKey("evicted", "a"))
        again = await answer(engine, ask(kit.question, "a", tenant="evicted"))
        assert again.text == first.text
        assert again.ended.cached_tokens == 0 or not kit.forgets

    async def test_tenants_never_find_each_others_prefixes(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        await answer(engine, ask(kit.question, "a", tenant="anna"))
        assert (await answer(engine, ask(kit.question, "a", tenant="ben"))).ended.cached_tokens == 0

    async def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        whole = await answer(engine, ask(kit.question))
        word = whole.text[4:7]
        request = ask(kit.question)
        cut = await answer(engine, replace(request, sampling=replace(GREEDY, stop=(word,))))
        assert cut.text == whole.text[: whole.text.index(word)]
        assert cut.ended.reason == "stop"

    async def test_a_prompt_over_the_window_is_never_computed(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        window = facts.capacity.window_tokens
        size = await size_of(engine, ask("word " * (window + 8)))
        assert size > window, "the front refuses what is known to be larger"


class _Ends:
    """How an engine ends, and how it never begins."""

    async def test_a_start_that_fails_says_what_to_do_and_leaves_nothing(self, kit: EngineKit) -> None:
        engine = kit.make_broken()
        with pytest.raises(EngineFault) as caught:
            async with asyncio.timeout(kit.start_s):
                await engine.start(lambda _: None)
        assert caught.value.problem
        assert caught.value.remedy
        await engine.stop()
        assert kit.leftovers(engine) == []

    async def test_a_stop_may_come_before_the_start(self, kit: EngineKit) -> None:
        engine = kit.make()
        await engine.stop()
        await engine.stop()
        assert kit.leftovers(engine) == []

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

    async def test_a_stop_leaves_nothing_and_may_come_twice(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        await engine.stop()
        await engine.stop()
        assert kit.leftovers(engine) == []


class EngineContract(_Ends, _Ordinary):
    """For every engine."""


class IdsContract(_Ends, _Ids):
    """For engines that take and give token ids: their answers can go on elsewhere."""
