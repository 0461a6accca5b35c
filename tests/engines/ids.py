"""The part of the contract for engines that take and give token ids."""

from contextlib import aclosing
from dataclasses import replace

import pytest

from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineFacts, Prompt
from cluster.wire import Tokens, TurnRequest
from tests.engines.claims import UNNAMED, Ability, Claim, shows
from tests.engines.kit import GREEDY, EngineKit, answer, ask, size_of
from tests.engines.twin import CONVERSATIONS, answers_of_llamacpp


class Ids:
    """What engines do that take and give token ids."""

    claim: Claim = UNNAMED

    @shows(Ability.IDS)
    async def test_the_prompts_size_is_exact(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        request = ask(kit.question)
        prompt = await engine.prepare(request)
        assert prompt.ids is not None
        assert prompt.tokens == len(prompt.ids)
        assert (await answer(engine, request)).ended.prompt_tokens == prompt.tokens

    @shows(Ability.USAGE)
    async def test_usage_counts_what_came(self, engine: Engine, facts: EngineFacts, kit: EngineKit) -> None:
        answered = await answer(engine, ask(kit.question))
        # An engine may count the token that ends the answer.
        assert answered.ended.completion_tokens - len(answered.ids) in (0, 1)
        assert len(answered.ids) >= 12

    @shows(Ability.SAFE)
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

    @shows(Ability.CONTINUES)
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

    @shows(Ability.PREFIX)
    async def test_the_next_turn_of_a_session_finds_its_prefix(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        first = await answer(engine, ask(kit.question, "a", tenant="fresh"))
        assert first.ended.cached_tokens == 0
        again = await answer(engine, ask(kit.question, "a", tenant="fresh"))
        assert kit.num_prefix_tokens <= again.ended.cached_tokens < again.ended.prompt_tokens
        assert again.ids == first.ids

    @shows(Ability.PREFIX)
    async def test_a_long_sessions_second_turn_prefills_a_tenth_at_most(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        num = min(1000, facts.capacity.window_tokens // 2)
        first = ask("w" * num, "long", tenant="long")
        said = {"role": "assistant", "content": (await answer(engine, first)).text}
        more = (*(first.messages or ()), said, {"role": "user", "content": "Go on."})
        ended = (await answer(engine, replace(first, turn="turn-2", messages=more))).ended
        assert num < ended.prompt_tokens
        assert ended.prompt_tokens - ended.cached_tokens <= 0.1 * ended.prompt_tokens

    @shows(Ability.SAME_IDS)
    async def test_greedy_ids_are_those_of_llamacpp(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        """The same conversation becomes the same prompt, and that the same 64 tokens."""
        if not self.claim.has(Ability.SAME_IDS):
            assert kit.twin is None
            return
        assert kit.twin is not None, "name the GGUF that holds the same weights"
        for request, wanted in zip(CONVERSATIONS, await answers_of_llamacpp(kit.twin), strict=True):
            assert (await engine.prepare(request)).ids == wanted.prompt
            assert (await answer(engine, request)).ids == wanted.answer

    @shows(Ability.EVICTS)
    async def test_an_evicted_session_finds_nothing(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        first = await answer(engine, ask(kit.question, "a", tenant="evicted"))
        await engine.evict(SessionKey("evicted", "a"))
        again = await answer(engine, ask(kit.question, "a", tenant="evicted"))
        assert again.text == first.text
        assert again.ended.cached_tokens == 0 or not kit.forgets
        assert kit.forgets == self.claim.has(Ability.EVICTS)

    @shows(Ability.TENANTS)
    async def test_tenants_never_find_each_others_prefixes(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        await answer(engine, ask(kit.question, "a", tenant="anna"))
        assert (await answer(engine, ask(kit.question, "a", tenant="ben"))).ended.cached_tokens == 0

    @shows(Ability.STOPS)
    async def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        whole = await answer(engine, ask(kit.question))
        word = whole.text[4:7]
        request = ask(kit.question)
        cut = await answer(engine, replace(request, sampling=replace(GREEDY, stop=(word,))))
        assert cut.text == whole.text[: whole.text.index(word)]
        assert cut.ended.reason == "stop"

    @shows(Ability.IDS)
    async def test_a_prompt_over_the_window_is_never_computed(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        window = facts.capacity.window_tokens
        size = await size_of(engine, ask("word " * (window + 8)))
        assert size > window, "the front refuses what is known to be larger"
