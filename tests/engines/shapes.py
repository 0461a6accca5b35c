"""What a client sees is the same whichever engine answers: calls, JSON, reasoning, usage, errors.

Asked through a real gateway by OpenAI's own client.  The models of `checkpoints` know the answers by heart
(cluster/models/recital.py), and the fake engine is told them, so that whole objects can be compared.
"""

import json
from typing import Any

import pytest
from openai import BadRequestError
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from cluster.models import recital
from tests.engines.claims import UNNAMED, Ability, Claim, shows
from tests.engines.kit import Running
from tests.engines.served import served
from tests.gateway.home import Home

NEVER: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
ON: dict[str, Any] = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}
SWITCH: Any = {"type": "function", "function": {"name": "switch", "description": "", "parameters": ON}}
REST: Any = {"type": "function", "function": {"name": "rest", "parameters": NEVER}}
STRICT: Any = {"type": "json_schema", "json_schema": {"name": "light", "schema": ON, "strict": True}}

WHAT, CALL, CALLS, OBJECT = "What is there?", "Recite the call.", "Recite the calls.", "Recite the object."
THINK, USE, IS_ON = "Think aloud.", "Use the switch.", "Is it on?"

OPTIONS: dict[str, dict[str, Any]] = {
    CALL: {"recite": "call"},
    CALLS: {"recite": "calls"},
    OBJECT: {"recite": "object"},
    THINK: {"think": True},
    USE: {"recite": "forced"},
}
"""What the template of the recital has to be told for a question."""

ANSWERS = {
    WHAT: "There is a light, and a switch.",
    CALL: "".join(recital.LINES["call"]),
    CALLS: "".join(recital.LINES["calls"]),
    OBJECT: recital.OBJECT,
    THINK: "<think>I may need the switch",
    USE: recital.CALL,
    IS_ON: recital.OBJECT,
}
"""What an engine without a model has to be told."""


async def ask(pool: Home, running: Running, question: str, **chosen: Any) -> ChatCompletion:  # noqa: ANN401
    return await pool.openai.chat.completions.create(**_body(running, question, chosen))


def _body(running: Running, question: str, chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": running.facts.model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 200,
        "extra_body": {"chat_template_kwargs": OPTIONS.get(question, {})},
        **chosen,
    }


async def streamed(pool: Home, running: Running, question: str, **chosen: Any) -> ChatCompletion:  # noqa: ANN401
    """The chunks of a stream put together as every client does."""
    extra = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [
        chunk
        async for chunk in await pool.openai.chat.completions.create(
            **_body(running, question, chosen | extra)
        )
    ]
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for delta in (chunk.choices[0].delta for chunk in chunks if chunk.choices):
        message["content"] += delta.content or ""
        if thought := getattr(delta, "reasoning_content", None):
            message["reasoning_content"] = message.get("reasoning_content", "") + thought
        for piece in delta.tool_calls or ():
            call = calls.setdefault(
                piece.index, {"type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = piece.id or call.get("id")
            assert piece.function is not None
            call["function"]["name"] += piece.function.name or ""
            call["function"]["arguments"] += piece.function.arguments or ""
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    whole = message | ({"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {})
    choice = {"index": 0, "finish_reason": reasons[-1], "message": whole}
    return ChatCompletion.model_validate(
        chunks[-1].model_dump() | {"object": "chat.completion", "choices": [choice]}
    )


def said(answer: ChatCompletion) -> dict[str, Any]:
    """The message, without what differs from answer to answer; nothing that is empty."""
    message = answer.choices[0].message
    whole = {name: value for name, value in message.model_dump().items() if value}
    if calls := calls_of(message):
        assert len({call.id for call in message.tool_calls or ()}) == len(calls), "calls share an id"
        assert all(call.id for call in message.tool_calls or ())
        whole["tool_calls"] = calls
    return whole


def calls_of(message: ChatCompletionMessage) -> list[tuple[str, Any]]:
    calls = [call for call in message.tool_calls or () if call.type == "function"]
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def usage_of(answer: ChatCompletion) -> tuple[int, int, int]:
    """Tokens of the prompt, of the answer, and those of the prompt that were there already."""
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    cached = usage.prompt_tokens_details.cached_tokens
    assert cached is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 <= cached < usage.prompt_tokens
    return usage.prompt_tokens, usage.completion_tokens, cached


class Shapes:
    """Inherited by the contract of every engine."""

    claim: Claim = UNNAMED

    @shows(Ability.USAGE)
    async def test_an_answer_is_counted(self, running: Running) -> None:
        chosen: dict[str, Any] = {"max_tokens": 8, "prompt_cache_key": "counted"}
        chosen["messages"] = [{"role": "user", "content": f"{WHAT} " * 10}]
        async with served(running) as pool:
            answer = await ask(pool, running, WHAT, **chosen)
            again = await ask(pool, running, WHAT, **chosen)
        prompt, completion, _ = usage_of(answer)
        assert completion == 8
        assert (answer.object, len(answer.choices)) == ("chat.completion", 1)
        assert answer.choices[0].finish_reason == "length"
        assert set(said(answer)) == {"role", "content"}
        assert said(again) == said(answer)
        if self.claim.has(Ability.PREFIX):
            assert usage_of(again)[2] >= prompt // 2, "most of the prompt was there"

    @shows(Ability.REASONING)
    async def test_reasoning_comes_apart_and_calls_come_read(self, running: Running) -> None:
        """Marks arrive in pieces; the whole answer and the stream hold the same."""
        wanted = {
            "role": "assistant",
            "reasoning_content": recital.THOUGHT,
            "content": recital.SAID,
            "tool_calls": [("switch", {"on": True})],
        }
        async with served(running) as pool:
            whole = await ask(pool, running, CALL, tools=[SWITCH])
            stream = await streamed(pool, running, CALL, tools=[SWITCH])
        for answer in (whole, stream):
            assert answer.choices[0].finish_reason == "tool_calls"
            assert said(answer) == wanted
            usage_of(answer)

    @shows(Ability.OPENED)
    async def test_reasoning_that_the_template_opened_is_reasoning(self, running: Running) -> None:
        async with served(running) as pool:
            answer = await ask(pool, running, THINK, max_tokens=12)
        assert answer.choices[0].finish_reason == "length"
        kind = "reasoning_content" if self.claim.has(Ability.OPENED) else "content"
        assert set(said(answer)) == {"role", kind}

    @shows(Ability.TOOLS)
    async def test_several_calls_come_in_one_answer(self, running: Running) -> None:
        async with served(running) as pool:
            whole = await ask(pool, running, CALLS, tools=[SWITCH])
            stream = await streamed(pool, running, CALLS, tools=[SWITCH])
        for answer in (whole, stream):
            assert answer.choices[0].finish_reason == "tool_calls"
            assert said(answer) == {
                "role": "assistant",
                "tool_calls": [("switch", {"on": True}), ("switch", {"on": False})],
            }

    @shows(Ability.TOOLS)
    async def test_no_call_is_read_where_none_is_wanted(self, running: Running) -> None:
        async with served(running) as pool:
            answer = await ask(pool, running, CALLS, tools=[SWITCH], tool_choice="none")
        assert answer.choices[0].finish_reason == "stop"
        assert answer.choices[0].message.tool_calls is None
        assert recital.CALL in (answer.choices[0].message.content or "")

    @shows(Ability.FORCED)
    @pytest.mark.parametrize("name", [None, "switch"], ids=["required", "named"])
    async def test_a_call_can_be_forced(self, running: Running, name: str | None) -> None:
        choice: Any = "required" if name is None else {"type": "function", "function": {"name": name}}
        chosen = {"tools": [SWITCH] if name is None else [REST, SWITCH], "tool_choice": choice}
        async with served(running) as pool:
            if not self.claim.has(Ability.FORCED):
                await refused(pool, running, "grammar", **chosen)
                return
            answers = [
                await ask(pool, running, USE, **chosen),
                await streamed(pool, running, USE, **chosen),
            ]
        for answer in answers:
            assert answer.choices[0].finish_reason == "tool_calls"
            ((called, arguments),) = said(answer)["tool_calls"]
            assert (called, set(arguments)) == ("switch", {"on"})
            assert not answer.choices[0].message.content
            usage_of(answer)

    @shows(Ability.SCHEMA)
    @pytest.mark.parametrize("form", [{"type": "json_object"}, STRICT], ids=["json", "schema"])
    async def test_an_answer_has_the_form_that_was_asked_for(
        self, running: Running, form: dict[str, Any]
    ) -> None:
        async with served(running) as pool:
            if not self.claim.has(Ability.SCHEMA):
                await refused(pool, running, "grammar", response_format=form)
                return
            answers = [
                await ask(pool, running, OBJECT, response_format=form),
                await streamed(pool, running, OBJECT, response_format=form),
            ]
        for answer in answers:
            assert answer.choices[0].finish_reason == "stop"
            assert set(said(answer)) == {"role", "content"}
            assert isinstance(json.loads(answer.choices[0].message.content or "")["on"], bool)
            usage_of(answer)

    @shows(Ability.SCHEMA)
    async def test_a_form_that_the_model_never_learned_is_kept_as_well(self, running: Running) -> None:
        async with served(running) as pool:
            if not self.claim.has(Ability.SCHEMA):
                await refused(pool, running, "grammar", response_format=STRICT)
                return
            answer = await ask(pool, running, IS_ON, response_format=STRICT)
        assert isinstance(json.loads(answer.choices[0].message.content or "")["on"], bool)

    @shows(Ability.STOPS)
    async def test_a_stop_string_ends_an_answer(self, running: Running) -> None:
        async with served(running) as pool:
            whole = (await ask(pool, running, WHAT, max_tokens=24)).choices[0].message.content or ""
            cut = await ask(pool, running, WHAT, max_tokens=24, stop=[whole[4:7]])
        assert cut.choices[0].message.content == whole[: whole.index(whole[4:7])]
        assert cut.choices[0].finish_reason == "stop"

    @shows(Ability.IMAGES)
    async def test_an_image_is_refused_where_nobody_sees(self, running: Running) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
        async with served(running) as pool:
            await refused(pool, running, "images", messages=messages)

    @shows(Ability.TURNS)
    async def test_a_prompt_over_the_window_gets_the_same_words(self, running: Running) -> None:
        window = running.facts.capacity.window_tokens
        messages = [{"role": "user", "content": "word " * window}]
        async with served(running) as pool:
            with pytest.raises(BadRequestError) as caught:
                await ask(pool, running, WHAT, messages=messages)
        assert caught.value.code == "context_length_exceeded"
        assert f"maximum context length is {window} tokens" in caught.value.message


async def refused(pool: Home, running: Running, feature: str, **chosen: Any) -> None:  # noqa: ANN401
    """A 400 that says what the model lacks and where to look, before anything was computed."""
    with pytest.raises(BadRequestError) as caught:
        await ask(pool, running, WHAT, **chosen)
    assert caught.value.param == "model"
    assert f"cannot do: {feature}" in caught.value.message
