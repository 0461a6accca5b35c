"""Upstreams: a llama.cpp server on loopback as the real one, and scripted servers for others' words."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cluster.config import UpstreamConfig
from cluster.core.errors import InvalidField
from cluster.core.events import Feature, Locality
from cluster.core.ids import SessionKey
from cluster.deployments import child
from cluster.deployments.engine import Engine, EngineFacts, EngineFault, EngineLost, Loading
from cluster.deployments.llamacpp_settings import Settings
from cluster.deployments.overflow import Overflow, read_overflow
from cluster.deployments.upstream import UpstreamEngine
from cluster.wire import (
    Delta,
    EmbedRequest,
    Ended,
    Failed,
    Frame,
    JsonObject,
    Progress,
    Sampling,
    TurnRequest,
)
from tests.engines.contract import EngineContract
from tests.engines.kit import EngineKit
from tests.support.tiny_gguf import tiny_gguf

ANNA = SessionKey("home", "anna")


def ignore(_: Loading) -> None:
    pass


def turn(**chosen: Any) -> TurnRequest:  # noqa: ANN401
    chosen = {"messages": ({"role": "user", "content": "Hello"},), "max_tokens": 16, **chosen}
    return TurnRequest("turn", ANNA, "tiny", sampling=Sampling(temperature=0), **chosen)


async def answer(engine: UpstreamEngine, request: TurnRequest) -> list[Frame]:
    return [frame async for frame in engine.generate(request, await engine.prepare(request))]


@asynccontextmanager
async def started(
    url: str,
    model: str = "tiny",
    environ: Mapping[str, str] = os.environ,
    **chosen: Any,  # noqa: ANN401
) -> AsyncGenerator[tuple[UpstreamEngine, EngineFacts]]:
    config = UpstreamConfig(name="up", url=url, **chosen)
    engine = UpstreamEngine(config, model, environ, look_every_s=0.05)
    try:
        yield engine, await engine.start(ignore)
    finally:
        await engine.stop()


@asynccontextmanager
async def llama_server(tmp_path: Path) -> AsyncGenerator[tuple[str, child.Child]]:
    """A llama.cpp as a person starts it by hand: on a port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        model=str(tiny_gguf()),
        name="tiny",
        address="127.0.0.1",
        port=port,
        context_tokens=2048,
        num_slots=2,
        batch_tokens=128,
        kv_type="f32",
        threads=1,
        save_path=f"{tmp_path}/",
    )
    argv = [sys.executable, "-m", "cluster.deployments.llamacpp_child", settings.to_argument()]
    process = await child.spawn(argv)
    try:
        await _until_healthy(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        await process.stop()


async def _until_healthy(url: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


@asynccontextmanager
async def scripted(*routes: web.RouteDef) -> AsyncGenerator[str]:
    """A server that says what it is told to."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def says(path: str, body: JsonObject, status: int = 200, method: str = "GET") -> web.RouteDef:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return web.route(method, path, handle)


def lists(**entry: object) -> web.RouteDef:
    return says("/v1/models", {"data": [{"id": "tiny", **entry}]})


def streams(*lines: str) -> web.RouteDef:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write("".join(f"data: {line}\n\n" for line in lines).encode())
        return response

    return web.post("/v1/chat/completions", handle)


class TestUpstream(EngineContract):
    @pytest.fixture
    async def kit(self, tmp_path: Path) -> AsyncGenerator[EngineKit]:
        async with llama_server(tmp_path) as (url, process):
            config = UpstreamConfig(name="up", url=url, max_concurrency=2)
            broken = UpstreamConfig(name="down", url="http://127.0.0.1:9/v1")

            async def num_running(_: Engine) -> int:
                await _until_idle(url.removesuffix("/v1") + "/slots")
                return 0

            async def kill(_: Engine) -> None:
                await process.stop(grace_s=0)

            yield EngineKit(
                make=lambda: UpstreamEngine(config, "tiny", look_every_s=0.05),
                make_broken=lambda: UpstreamEngine(broken, "tiny"),
                question="What is there?",
                num_running=num_running,
                kill=kill,
                leftovers=lambda _: [],
            )


async def test_a_real_server_answers_as_an_upstream(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url, local_models=("tiny",)) as (engine, facts):
        assert facts.locality is Locality.LOCAL
        assert facts.capacity.window_tokens == 2048
        assert facts.capacity.estimated
        assert Feature.IMAGES not in facts.features
        frames = await answer(engine, turn())
        assert isinstance(frames[0], Progress)
        text = "".join(frame.delta["content"] for frame in frames if isinstance(frame, Delta))
        assert text
        end = frames[-1]
        assert isinstance(end, Ended)
        assert (end.reason, end.completion_tokens) == ("length", 16)
        assert end.prompt_tokens > 10


async def test_a_real_server_refuses_a_long_prompt_in_our_words(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url) as (engine, _):
        message = {"role": "user", "content": "long " * 1000}
        (failed,) = await answer(engine, turn(messages=(message,)))
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code) == (400, "context_length_exceeded")
        assert "maximum context length is 2048 tokens. However, you requested" in failed.message
        assert (failed.prompt_tokens or 0) > 5000


async def test_a_real_server_is_let_go_when_the_turn_is_cancelled(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url) as (engine, _):
        request = turn(max_tokens=2000)
        async with aclosing(engine.generate(request, await engine.prepare(request))) as frames:
            async for frame in frames:
                if isinstance(frame, Delta):
                    break
        await _until_idle(url.removesuffix("/v1") + "/slots")


async def _until_idle(url: str) -> None:
    async with asyncio.timeout(1.0), aiohttp.ClientSession() as http:
        while True:
            async with http.get(url) as response:
                if not any(slot["is_processing"] for slot in await response.json()):
                    return
            await asyncio.sleep(0.02)


async def test_a_killed_server_is_lost(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, process), started(url) as (engine, _):
        died = asyncio.create_task(engine.died())
        request = turn(max_tokens=2000)
        frames = engine.generate(request, await engine.prepare(request))
        await anext(frames)
        await process.stop(grace_s=0)
        with pytest.raises(EngineLost):
            _ = [frame async for frame in frames]
        assert "up does not answer any more" in await died
        with pytest.raises(EngineLost):
            await answer(engine, turn())


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
