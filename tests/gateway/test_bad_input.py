"""What a client is told that sends something wrong: the field, the fault and the remedy."""

import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest

from cluster.deployments.fake import FakeEngine, FakeSettings
from tests.gateway.home import SETTINGS, home

ASK = {"model": "fake", "messages": [{"role": "user", "content": "x"}]}
TOOL = {"type": "function", "function": {"name": "add"}}


def user(content: Any) -> dict[str, Any]:  # noqa: ANN401 - what is wrong is of any type
    return {"messages": [{"role": "user", "content": content}]}


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        "messages[0].tool_calls[0].function",
    ),
    (user(None), "messages[0].content"),
    (user(7), "messages[0].content"),
    (user([{"type": "text", "text": 7}]), "messages[0].content[0].text"),
    (user([{"type": "input_audio"}]), "messages[0].content[0].type"),
    (
        user([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]),
        "messages[0].content[0].image_url.url",
    ),
    ({"model": None}, "model"),
    ({"model": 7}, "model"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"stop": 7}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
    ({"tool_choice": "required"}, "tool_choice"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
        "tool_choice.function.name",
    ),
    ({"functions": [{}]}, "functions"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"prompt_cache_key": "x" * 300}, "prompt_cache_key"),
]


async def test_each_wrong_field_is_named_with_a_remedy() -> None:
    async with home(FakeEngine()) as pool:
        for fault, field in FAULTS:
            for stream in ({}, {"stream": True}):
                status, body, headers = await pool.post("/v1/chat/completions", {**ASK, **stream, **fault})
                error = body["error"]
                assert (status, error["param"], error["type"]) == (400, field, "invalid_request_error"), body
                assert headers["x-should-retry"] == "false"
                assert error["message"].startswith(f"{field}: ")
                assert error["message"].count(".") >= 2, "a fault and a remedy"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model": NaN}',
        b'{"temperature": 1e999}',
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"a":' * 90_000,
        b'{"a": ' * 200 + b"1" + b"}" * 200,
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    async with home() as pool, pool.http.post(f"{pool.url}/v1/chat/completions", data=body) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["param"], error["code"]) == (400, "body", "invalid_value")


async def test_numbers_over_64_bits_in_a_schema_travel_on() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"maximum": 10**40, "minimum": -(2**70)}},
    }
    async with home(FakeEngine()) as pool:
        status, _, _ = await pool.post("/v1/chat/completions", {**ASK, "tools": [tool]})
    assert status == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with home() as pool:
        size = SETTINGS.max_body_bytes + 1
        url = f"{pool.url}/v1/chat/completions"
        for body in (io.BytesIO(b"x" * size), _chunks(size)):
            async with pool.http.post(url, data=body) as answer:
                error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (413, "request_too_large")
            assert str(SETTINGS.max_body_bytes) in error["message"]


async def _chunks(size: int) -> AsyncGenerator[bytes]:
    """A body whose size nobody has told."""
    for _ in range(size // 65536 + 2):
        yield b"x" * 65536


async def test_an_unknown_model_is_named_with_those_that_are_there() -> None:
    async with home(FakeEngine()) as pool:
        status, body, headers = await pool.post("/v1/chat/completions", {**ASK, "model": "gpt-9"})
    assert status == 404
    assert headers["x-should-retry"] == "false"
    assert body["error"] == {
        "message": "The model `gpt-9` does not exist here. Models of this pool: `fake`.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_over_the_window_is_told_in_the_words_that_agents_know(stream: bool) -> None:
    engine = FakeEngine(FakeSettings(kv_tokens=256, window_tokens=256))
    ask = {"model": "fake", "messages": [{"role": "user", "content": "x" * 300}], "max_tokens": 20}
    async with home(engine) as pool:
        status, body, headers = await pool.post("/v1/chat/completions", {**ask, "stream": stream})
    assert (status, headers["x-should-retry"]) == (400, "false")
    assert body["error"]["code"] == "context_length_exceeded"
    assert body["error"]["message"] == (
        "This model's maximum context length is 256 tokens. However, you requested 323 tokens (303 in the "
        "messages, 20 in the completion). Please reduce the length of the messages or completion. "
        "(context_length_exceeded)"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8420"},
        {"Origin": "http://localhost.evil.example"},
    ],
)
async def test_web_pages_of_elsewhere_are_kept_out(headers: dict[str, str]) -> None:
    async with home(FakeEngine()) as pool:
        status, body, _ = await pool.post("/v1/chat/completions", ASK, **headers)
        assert (status, body["error"]["code"]) == (403, "foreign_host")
        for own in ("http://localhost:3000", "http://127.0.0.1:8420", "http://[::1]:8420"):
            status, _, _ = await pool.post("/v1/chat/completions", ASK, Origin=own)
            assert status == 200


async def test_json_is_json_whatever_its_content_type() -> None:
    async with home(FakeEngine()) as pool, aiohttp.ClientSession() as http:
        url = f"{pool.url}/v1/chat/completions"
        async with http.post(url, data=json.dumps(ASK), headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 200
