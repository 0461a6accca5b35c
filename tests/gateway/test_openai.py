"""What a client with OpenAI's SDK sees."""

import asyncio
import base64
import struct

import pytest
from openai import APIStatusError, InternalServerError
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionUserMessageParam

from cluster.deployments.fake import FakeEngine, FakeSettings
from tests.gateway.home import home

HELLO = [ChatCompletionUserMessageParam(role="user", content="Grüße, 世界 🔥")]
ADD = ChatCompletionFunctionToolParam(
    type="function", function={"name": "add", "parameters": {"type": "object"}}
)
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
SPOKEN = f"<think>I need the tool.</think>\n\nOne moment.{CALL}"


def agent() -> FakeEngine:
    return FakeEngine(FakeSettings(answer=SPOKEN, formats=("think", "hermes")))


async def test_an_answer_streams_with_its_usage_and_where_it_was_computed() -> None:
    async with home(FakeEngine()) as pool:
        stream = await pool.openai.chat.completions.create(
            model="fake", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        head = stream.response.headers
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Grüße, 世界 🔥"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == len(text.encode())
    assert usage.prompt_tokens == len(text.encode()) + 3
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert (head["x-hearth-node"], head["x-hearth-engine"]) == ("node-1", "fake")
    assert head["x-hearth-locality"] == "local"
    assert head["x-hearth-session"].startswith("prompt-")


async def test_usage_comes_unasked_in_a_chunk_that_has_a_choice() -> None:
    async with home(FakeEngine()) as pool:
        stream = await pool.openai.chat.completions.create(model="fake", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
    assert all(len(chunk.choices) == 1 for chunk in chunks), "simple clients read choices[0] of every chunk"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 2 * len("Grüße, 世界 🔥".encode()) + 3


async def test_the_second_turn_of_a_session_is_cached() -> None:
    async with home(FakeEngine()) as pool:
        for expected in (0, len("Grüße, 世界 🔥".encode()) + 2):
            answer = await pool.openai.chat.completions.create(
                model="fake", messages=HELLO, prompt_cache_key="chat-7:1"
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            assert answer.usage.prompt_tokens_details.cached_tokens == expected
        resident = pool.replicas[0].front.book.ledger.resident
        assert [(key.session, key.generation) for key in resident] == [("chat-7", 1)]


@pytest.mark.parametrize("header", ["x-session-affinity", "session_id", "X-OpenWebUI-Chat-Id"])
async def test_a_header_names_the_session(header: str) -> None:
    async with home(FakeEngine()) as pool:
        answer = await pool.openai.chat.completions.with_raw_response.create(
            model="fake", messages=HELLO, extra_headers={header: "chat-8"}
        )
    assert answer.headers["x-hearth-session"] == "chat-8"


async def test_reasoning_and_tool_calls_stream_as_such() -> None:
    async with home(agent()) as pool:
        stream = await pool.openai.chat.completions.create(
            model="fake", messages=HELLO, tools=[ADD], stream=True
        )
        deltas = [(chunk.choices[0].delta, chunk.choices[0].finish_reason) async for chunk in stream]
    reasoning = [getattr(delta, "reasoning_content", None) or "" for delta, _ in deltas]
    assert "".join(reasoning) == "I need the tool."
    assert "".join(delta.content or "" for delta, _ in deltas) == "One moment."
    calls = [call for delta, _ in deltas for call in delta.tool_calls or ()]
    assert [(call.index, call.function and call.function.name) for call in calls] == [(0, "add")]
    assert (calls[0].id or "").startswith("call_")
    assert deltas[-1][1] == "tool_calls"


async def test_reasoning_and_tool_calls_of_a_whole_answer() -> None:
    async with home(agent()) as pool:
        answer = await pool.openai.chat.completions.create(model="fake", messages=HELLO, tools=[ADD])
    message = answer.choices[0].message
    assert message.content == "One moment."
    assert getattr(message, "reasoning_content", None) == "I need the tool."
    assert [call.function.arguments for call in message.tool_calls or () if call.type == "function"] == [
        '{"a": 1}'
    ]
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("with_tools", [False, True])
async def test_no_call_is_read_where_none_is_wanted(with_tools: bool) -> None:
    async with home(agent()) as pool:
        ask = {"tools": [ADD], "tool_choice": "none"} if with_tools else {}
        answer = await pool.openai.chat.completions.create(model="fake", messages=HELLO, extra_body=ask)
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content == SPOKEN.partition("</think>\n\n")[2]
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("max_tokens", "reason"), [(5, "length"), (500, "stop")])
async def test_max_tokens_ends_an_answer(max_tokens: int, reason: str) -> None:
    async with home(FakeEngine(FakeSettings(answer="0123456789"))) as pool:
        answer = await pool.openai.chat.completions.create(
            model="fake", messages=HELLO, max_tokens=max_tokens
        )
    assert answer.choices[0].message.content == "0123456789"[:max_tokens]
    assert answer.choices[0].finish_reason == reason


async def test_a_stop_string_ends_an_answer() -> None:
    async with home(FakeEngine(FakeSettings(answer="one two three"))) as pool:
        answer = await pool.openai.chat.completions.create(model="fake", messages=HELLO, stop=[" th", "wo"])
    assert answer.choices[0].message.content == "one t"
    assert answer.choices[0].finish_reason == "stop"


async def test_embeddings_come_as_floats_and_as_base64() -> None:
    async with home(FakeEngine()) as pool:
        floats = await pool.openai.embeddings.create(model="fake", input=["a", "bc"], encoding_format="float")
        _, packed, headers = await pool.post(
            "/v1/embeddings", {"model": "fake", "input": "a", "encoding_format": "base64"}
        )
    assert len(floats.data) == 2
    assert floats.usage.prompt_tokens == 3
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert list(struct.unpack("<8f", raw)) == pytest.approx(floats.data[0].embedding)
    assert (headers["x-hearth-node"], headers["x-hearth-locality"]) == ("node-1", "local")


async def test_models_are_listed_with_what_agents_ask_for() -> None:
    async with home(FakeEngine()) as pool:
        models = await pool.openai.models.list()
        one = await pool.openai.models.retrieve("fake")
    assert [model.id for model in models.data] == ["fake"]
    extra = one.model_extra or {}
    assert (extra["max_model_len"], extra["context_window"]) == (8192, 8192)
    assert (extra["locality"], extra["state"]) == ("local", "ready")


async def test_fifty_turns_at_once_are_all_answered() -> None:
    engine = FakeEngine(FakeSettings(decode_tps=2000, num_slots=4))
    async with home(engine) as pool:

        async def ask(number: int) -> str | None:
            answer = await pool.openai.chat.completions.create(
                model="fake", messages=[{"role": "user", "content": f"turn {number}"}]
            )
            return answer.choices[0].message.content

        answers = await asyncio.gather(*map(ask, range(50)))
    assert answers == [f"turn {number}" for number in range(50)]


async def test_a_local_model_is_never_computed_elsewhere() -> None:
    hosted = FakeEngine(FakeSettings.model_validate({"model": "cloud", "locality": "hosted"}))
    async with home(hosted) as pool:
        with pytest.raises(InternalServerError) as caught:
            await pool.openai.chat.completions.create(model="local/cloud", messages=HELLO)
        answer = await pool.openai.chat.completions.with_raw_response.create(model="cloud", messages=HELLO)
    assert caught.value.status_code == 503
    assert "overloaded" in str(caught.value)
    assert answer.headers["x-hearth-locality"] == "hosted"


async def test_errors_are_the_sdks_errors() -> None:
    async with home(FakeEngine()) as pool:
        with pytest.raises(APIStatusError) as caught:
            await pool.openai.chat.completions.create(model="gpt-9", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (404, "model_not_found")
