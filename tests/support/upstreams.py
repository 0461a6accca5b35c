"""Upstreams for tests: a real llama.cpp server on a port, and servers that say what they are told."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from cluster.config import UpstreamConfig
from cluster.core.ids import SessionKey
from cluster.deployments import child
from cluster.deployments.engine import EngineFacts, Loading
from cluster.deployments.llamacpp_settings import Settings
from cluster.deployments.upstream import UpstreamEngine
from cluster.wire import (
    Frame,
    JsonObject,
    Sampling,
    TurnRequest,
)
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
async def llama_server(
    tmp_path: Path, model: Path | None = None, pooling: int | None = None
) -> AsyncGenerator[tuple[str, child.Child]]:
    """A llama.cpp as a person starts it by hand: on a port.  `model` None: a tiny one.

    `pooling`: of a model that embeds, llama.cpp's number of how.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        model=str(model or tiny_gguf()),
        name="tiny",
        address="127.0.0.1",
        port=port,
        context_tokens=2048,
        num_slots=2,
        batch_tokens=2048 if pooling else 128,
        pooling=pooling,
        exact=pooling is not None,
        kv_type="f32",
        threads=1,
        save_path=f"{tmp_path}/",
    )
    argv = [sys.executable, "-m", "cluster.deployments.llamacpp_child", settings.to_argument()]
    process = await child.spawn(argv)
    try:
        await until_healthy(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        await process.stop()


async def until_healthy(url: str) -> None:
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


async def until_idle(url: str) -> None:
    async with asyncio.timeout(1.0), aiohttp.ClientSession() as http:
        while True:
            async with http.get(url) as response:
                if not any(slot["is_processing"] for slot in await response.json()):
                    return
            await asyncio.sleep(0.02)
