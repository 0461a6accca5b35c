"""Asking a server on a Unix socket: what it refuses, and what it computes on."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from cluster.deployments.engine import EngineLost
from cluster.deployments.engine_http import EngineHttp, Refused
from cluster.deployments.vllm_server import VllmServer

Client = TypeVar("Client", bound=EngineHttp)


@asynccontextmanager
async def serving(socket: Path, *routes: web.RouteDef) -> AsyncGenerator[None]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def closing(client: Client) -> AsyncGenerator[Client]:
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, {"error": {"code": 400, "type": "BadRequest", "message": "no"}}, (400, "BadRequest", "no")),
        (401, {"error": "Unauthorized"}, (401, "", "Unauthorized")),
        (404, {"detail": "Not Found"}, (404, "", "{'detail': 'Not Found'}")),
        (503, ["busy"], (503, "", "['busy']")),
    ],
)
async def test_an_error_of_any_shape_is_a_refusal(
    tmp_path: Path, status: int, body: object, told: tuple[int, str, str]
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async with serving(tmp_path / "s", web.get("/it", refuse)), closing(EngineHttp(tmp_path / "s")) as http:
        with pytest.raises(Refused) as caught:
            await http.ask("GET", "/it")
    assert (caught.value.status, caught.value.kind, str(caught.value)) == told


@pytest.mark.parametrize("error", ['{"code": null, "message": "broke"}', '"broke"'])
async def test_an_error_within_a_stream_is_a_refusal(tmp_path: Path, error: str) -> None:
    async def stream(_: web.Request) -> web.Response:
        return web.Response(text=f'data: {{"error": {error}}}\n\n', content_type="text/event-stream")

    async with serving(tmp_path / "s", web.post("/it", stream)), closing(EngineHttp(tmp_path / "s")) as http:
        with pytest.raises(Refused, match="broke") as caught:
            _ = [event async for event in http.stream("/it", {})]
    assert caught.value.status == 500


async def test_a_cancelled_turn_is_not_mistaken_for_one_that_began_meanwhile(tmp_path: Path) -> None:
    running, others = iter([2, 3, 2]), iter([1, 2, 2])

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=f"vllm:num_requests_running {next(running, 3)}\n")

    async with (
        serving(tmp_path / "s", web.get("/metrics", metrics)),
        closing(VllmServer(tmp_path / "s", "m")) as server,
    ):
        await server.wait_idle(lambda: next(others), 10.0)
        with pytest.raises(EngineLost, match="computes on"):
            await server.wait_idle(lambda: 2, 0.05)
