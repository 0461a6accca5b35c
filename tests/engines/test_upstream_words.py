"""Upstreams of every make: what they tell of themselves, and their words for what went wrong."""

import pytest
from aiohttp import web

from cluster.core.errors import InvalidField
from cluster.core.events import Locality
from cluster.deployments.engine import EngineFault, EngineLost
from cluster.deployments.overflow import Overflow, read_overflow
from cluster.wire import (
    Delta,
    EmbedRequest,
    Ended,
    Failed,
    JsonObject,
)
from tests.support.upstreams import ANNA, answer, lists, says, scripted, started, streams, turn


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens "
            "(8000 in the messages, 1000 in the completion). Please reduce the length.",
            Overflow(8192, 8000, 1000),
        ),
        (
            "This model's maximum context length is 8192 tokens. "
            "However, your messages resulted in 9000 tokens.",
            Overflow(8192, 9000),
        ),
        (
            "You passed 5000 input tokens and requested 100 output tokens. However, the model's context "
            "length is only 4096 tokens, resulting in a maximum input length of 3996 tokens.",
            Overflow(4096, 5000, 100),
        ),
        (
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            Overflow(4096, 5000),
        ),
        (
            "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
            Overflow(4096, 5000),
        ),
        (
            "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
            Overflow(4096, 5000),
        ),
        (
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested "
            "a total of 5100 tokens: 5000 tokens from the input messages and 100 tokens for the completion.",
            Overflow(4096, 5000, 100),
        ),
        (
            "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
            "with context length of only 4096 tokens, which is not enough.",
            Overflow(4096, 5000),
        ),
        ("the input length exceeds the context length", Overflow()),
        ("prompt too long; exceeded max context length by 40 tokens", Overflow()),
        ("prompt is too long: 210000 tokens > 200000 maximum", Overflow(200000, 210000)),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            Overflow(1048576, 1200000),
        ),
        ("Your input exceeds the context window of this model.", Overflow()),
        ("max_tokens must be positive", None),
        ("Unknown field context_length in the request", None),
    ],
)
def test_every_wording_of_an_overflow_is_understood(words: str, expected: Overflow | None) -> None:
    assert read_overflow(words) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (400, {"error": {"message": "temperature is bad"}}, (400, "invalid_request"), "temperature is bad"),
        (429, {"error": {"message": "slow down"}}, (503, "overloaded"), "overloaded"),
        (401, {"error": {"message": "bad key"}}, (500, "server_error"), "Check its key"),
        (404, {"error": "model not found"}, (500, "server_error"), "model not found"),
        (
            500,
            {"error": "the input length exceeds the context length"},
            (400, "context_length_exceeded"),
            "9999",
        ),
    ],
)
async def test_an_error_of_an_upstream_keeps_the_contract(
    status: int, body: JsonObject, expected: tuple[int, str], words: str
) -> None:
    refusal = says("/v1/chat/completions", body, status, "POST")
    async with scripted(lists(), refusal) as url, started(url, context_tokens=9999) as (engine, _):
        (failed,) = await answer(engine, turn())
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code) == expected
        assert words in failed.message


async def test_a_fault_of_an_upstream_is_a_lost_engine() -> None:
    refusal = says("/v1/chat/completions", {"error": "boom"}, 502, "POST")
    async with scripted(lists(), refusal) as url, started(url) as (engine, _):
        with pytest.raises(EngineLost, match="502"):
            await answer(engine, turn())


async def test_a_stream_that_stops_in_the_middle_is_a_lost_engine() -> None:
    piece = '{"choices": [{"delta": {"role": "assistant", "content": "Hi"}}]}'
    async with scripted(lists(), streams(piece)) as url, started(url) as (engine, _):
        with pytest.raises(EngineLost, match="stopped before"):
            await answer(engine, turn())


async def test_reasoning_tool_calls_and_usage_pass_through() -> None:
    call = '{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}'
    lines = [
        '{"choices": [{"delta": {"role": "assistant", "content": ""}}]}',
        '{"choices": [{"delta": {"reasoning_content": "Hm"}}]}',
        f'{{"choices": [{{"delta": {{"tool_calls": [{call}]}}}}]}}',
        '{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}',
        '{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, '
        '"prompt_tokens_details": {"cached_tokens": 5}}}',
        "[DONE]",
    ]
    async with scripted(lists(), streams(*lines)) as url, started(url) as (engine, _):
        reasoning, called, end = await answer(engine, turn())
        assert reasoning == Delta({"reasoning_content": "Hm"})
        assert isinstance(called, Delta)
        assert called.delta["tool_calls"][0]["id"] == "c1"
        assert end == Ended("tool_calls", 9, 5, 3)


@pytest.mark.parametrize(
    ("entry", "routes", "window"),
    [
        ({"max_model_len": 4096}, [], 4096),
        ({"context_window": 131072}, [], 131072),
        ({}, [], 32768),
        (
            {},
            [
                says(
                    "/api/v0/models", {"data": [{"id": "tiny", "type": "llm", "loaded_context_length": 8192}]}
                )
            ],
            8192,
        ),
        (
            {},
            [
                says(
                    "/api/show",
                    {"model_info": {"llama.context_length": 40960}, "parameters": "num_ctx 16384"},
                    method="POST",
                )
            ],
            16384,
        ),
        (
            {},
            [
                says("/api/show", {"model_info": {"llama.context_length": 40960}}, method="POST"),
                says("/api/ps", {"models": [{"name": "tiny", "context_length": 4096}]}),
            ],
            4096,
        ),
    ],
)
async def test_the_window_is_found_where_a_server_tells_it(
    entry: JsonObject, routes: list[web.RouteDef], window: int
) -> None:
    async with scripted(lists(**entry), *routes) as url, started(url) as (_, facts):
        assert facts.capacity.window_tokens == window
        assert facts.capacity.kv_tokens == 4 * window
        assert facts.locality is Locality.HOSTED


async def test_a_key_is_sent_and_never_shown() -> None:
    seen: list[str | None] = []

    async def models(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error": {"message": "no"}}, status=401)

    async with scripted(web.get("/v1/models", models)) as url:
        with pytest.raises(EngineFault) as caught:
            async with started(url, environ={"UP_KEY": "secret-1"}, api_key_env="UP_KEY"):
                pass
    assert seen == ["Bearer secret-1"]
    assert "secret-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "chosen", "words"),
    [
        ("tiny", {"api_key_env": "UNSET_KEY"}, "Set UNSET_KEY in the environment"),
        ("huge", {}, "no model 'huge'; it has: tiny"),
    ],
)
async def test_a_wrong_config_is_told_at_the_start(model: str, chosen: JsonObject, words: str) -> None:
    async with scripted(lists()) as url:
        with pytest.raises(EngineFault, match=words):
            async with started(url, model, {}, **chosen):
                pass


async def test_nobody_there_is_told_at_the_start() -> None:
    with pytest.raises(EngineFault, match="does not list its models"):
        async with started("http://127.0.0.1:9/v1"):
            pass


async def test_an_answer_of_another_replica_cannot_go_on_here() -> None:
    async with scripted(lists()) as url, started(url) as (engine, _):
        with pytest.raises(InvalidField, match="ids"):
            await engine.prepare(turn(messages=None, ids=(1, 2)))


async def test_embeddings_come_in_order() -> None:
    data = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]
    vectors = says("/v1/embeddings", {"data": data, "usage": {"prompt_tokens": 7}}, method="POST")
    async with scripted(lists(), vectors) as url, started(url) as (engine, _):
        found = await engine.embed(EmbedRequest("turn", ANNA, "tiny", ("a", "b")))
        assert found.vectors == ((1, 2), (3, 4))
        assert found.prompt_tokens == 7
