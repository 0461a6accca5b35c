"""A gateway that says what a test tells it to, with the headers under which the real one serves the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from cluster.core.view import PoolView
from tests.console.pools import HOME

CONSOLE = Path(__file__).parents[2] / "cluster" / "console"
PLACE = {"x-hearth-node": "studio", "x-hearth-engine": "llamacpp", "x-hearth-locality": "local"}
Chunk = dict[str, Any]
_dumps = partial(json.dumps, default=sorted)


def delta(**fields: str) -> Chunk:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def ending(prompt: int, cached: int, completion: int) -> list[Chunk]:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ]


@dataclass(frozen=True)
class Refusal:
    status: int
    message: str


class StandIn:
    """`show` changes the pool's view at once; `answers` are taken one a request.

    An answer is a list of chunks and of events to wait for between them, or a refusal.  `told`: the models
    that were to be loaded or unloaded, each with the verb; `refusal`: what is said to that.
    """

    def __init__(self) -> None:
        self.answers: list[Sequence[Chunk | asyncio.Event] | Refusal] = []
        self.requests: list[tuple[str, Chunk]] = []
        self.told: list[tuple[str, str]] = []
        self.refusal: Refusal | None = None
        self.headers = PLACE
        self.client_gone = asyncio.Event()
        self._view = HOME
        self._changed = asyncio.Condition()

    async def show(self, view: PoolView) -> None:
        self._view = view
        async with self._changed:
            self._changed.notify_all()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/api/view/stream", self._stream)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/api/models/{model:.+}/{verb:load|unload}", self._tell)
        app.router.add_static("/", CONSOLE)
        app.on_response_prepare.append(_protect)
        return app

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(CONSOLE / "index.html")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = await _open(request, {})
        async with self._changed:
            while True:
                await _send(response, _dumps(asdict(self._view)))
                await self._changed.wait()

    async def _tell(self, request: web.Request) -> web.Response:
        name, verb = request.match_info["model"], request.match_info["verb"]
        self.told.append((name, verb))
        if self.refusal is not None:
            return web.json_response({"error": {"message": self.refusal.message}}, status=self.refusal.status)
        (model,) = (each for each in self._view.models if each.model == name)
        now = replace(model, state="loading" if verb == "load" else "unloading", stage="", fraction=None)
        await self.show(
            replace(self._view, models=tuple(now if m is model else m for m in self._view.models))
        )
        return web.json_response({"model": asdict(now), "note": ""}, dumps=_dumps)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.headers["x-session-affinity"], await request.json()))
        answer = self.answers.pop(0)
        if isinstance(answer, Refusal):
            return web.json_response({"error": {"message": answer.message}}, status=answer.status)
        response = await _open(request, self.headers)
        try:
            for step in answer:
                await (step.wait() if isinstance(step, asyncio.Event) else _send(response, json.dumps(step)))
            await _send(response, "[DONE]")
        except (ConnectionError, asyncio.CancelledError):
            self.client_gone.set()
            raise
        return response


async def _protect(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["content-security-policy"] = "default-src 'self'"


async def _open(request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream", **headers})
    await response.prepare(request)
    return response


async def _send(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())


@asynccontextmanager
async def serving(app: web.Application) -> AsyncGenerator[str]:
    """The app on a free loopback port, as its URL."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
