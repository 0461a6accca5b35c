"""Rank 0's server: HTTP with JSON on a Unix socket, in a thread of its own.

GET  /facts     what the model is                        GET  /metrics   running, waiting, KV tokens
POST /render    messages, tools, options -> prompt       POST /tokenize  text -> tokens
POST /generate  a turn -> its events, as server-sent events; closing the connection cancels it
POST /cancel    a turn's name; answers when it is gone   POST /evict     a session's KV
POST /chunk     prompt tokens of one step
"""

import asyncio
import json
import os
import threading
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from cluster.deployments.mlx_server.chat import BadConversation, Chat
from cluster.deployments.mlx_server.grammar import BadSchema, Grammars
from cluster.deployments.mlx_server.sampler import Grammar, Sampling
from cluster.deployments.mlx_server.scheduler import Cancel, Chunk, Evict, Message, Scheduler
from cluster.deployments.mlx_server.turns import Asked, Event, Tell

MAX_BODY_BYTES = 256 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """`facts`: what `/facts` tells.  `window`: tokens of the longest sequence."""

    def __init__(
        self,
        scheduler: Scheduler,
        chat: Chat,
        grammars: Grammars,
        facts: dict[str, Any],
        defaults: dict[str, Any],
        window: int,
    ) -> None:
        self._scheduler, self._chat, self._grammars = scheduler, chat, grammars
        self._facts, self._defaults, self._window = facts, defaults, window

    def start(self, socket: str) -> None:
        """Returns when it listens; the thread ends with the process."""
        listening = threading.Event()
        threading.Thread(target=self._run, args=(socket, listening), daemon=True).start()
        listening.wait()

    def _run(self, socket: str, listening: threading.Event) -> None:
        try:
            asyncio.run(self._serve(socket, listening))
        finally:
            traceback.print_exc()
            os._exit(1)  # a rank that cannot be asked is of no use

    async def _serve(self, socket: str, listening: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._app(), handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, socket).start()
        listening.set()
        await asyncio.Event().wait()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_in_json])
        app.add_routes(
            [
                web.get("/facts", self._tell_facts),
                web.get("/metrics", self._tell_metrics),
                web.post("/render", self._render),
                web.post("/tokenize", self._tokenize),
                web.post("/generate", self._generate),
                web.post("/cancel", self._cancel),
                web.post("/evict", self._evict),
                web.post("/chunk", self._chunk),
            ]
        )
        return app

    async def _tell_facts(self, _: web.Request) -> web.Response:
        return web.json_response(self._facts)

    async def _tell_metrics(self, _: web.Request) -> web.Response:
        return web.json_response(self._scheduler.metrics())

    async def _render(self, request: web.Request) -> web.Response:
        body = await request.json()
        render = partial(self._chat.render, body["messages"], body.get("tools", ()), body.get("options", {}))
        return web.json_response({"prompt": await asyncio.to_thread(render)})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        special, start = bool(body["parse_special"]), bool(body["is_start"])
        tokenize = partial(self._chat.tokenize, body["text"], parse_special=special, is_start=start)
        return web.json_response({"tokens": await asyncio.to_thread(tokenize)})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        schema = body.get("schema")
        grammar = None if schema is None else await asyncio.to_thread(self._grammars.compile, schema)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        asked = self._asked(body, grammar, lambda event: _call(self._loop, events.put_nowait, event))
        self._scheduler.inbox.put(asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            while (event := await events.get()) is not None:
                await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        finally:
            self._scheduler.inbox.put(Cancel(asked.name, _nothing))
        return response

    def _asked(self, body: dict[str, Any], grammar: Grammar | None, tell: Tell) -> Asked:
        ids = tuple(body["ids"])
        left = self._window - len(ids)
        wanted = {name: value for name, value in body.get("sampling", {}).items() if value is not None}
        return Asked(
            name=body["turn"],
            tenant=body["tenant"],
            session=body["session"],
            ids=ids,
            max_tokens=max(min(body.get("max_tokens") or left, left), 1),
            sampling=Sampling(**(self._defaults | wanted)),
            stop=tuple(body.get("stop", ())),
            ends=not body.get("ignore_end", False),
            grammar=grammar,
            tell=tell,
        )

    async def _cancel(self, request: web.Request) -> web.Response:
        body = await request.json()
        return await self._ask(partial(Cancel, body["turn"]))

    async def _evict(self, request: web.Request) -> web.Response:
        body = await request.json()
        return await self._ask(partial(Evict, body["tenant"], body["session"]))

    async def _chunk(self, request: web.Request) -> web.Response:
        body = await request.json()
        return await self._ask(partial(Chunk, int(body["tokens"])))

    async def _ask(self, message: Callable[[Callable[[], None]], Message]) -> web.Response:
        done = asyncio.Event()
        self._scheduler.inbox.put(message(lambda: _call(self._loop, done.set)))
        await done.wait()
        return web.json_response({})


def _call(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    """From another thread."""
    loop.call_soon_threadsafe(call, *arguments)


def _nothing() -> None:
    """Nobody waits for it."""


@web.middleware
async def _in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (BadConversation, BadSchema) as fault:
        error = {"code": 400, "type": type(fault).__name__, "message": str(fault)}
        return web.json_response({"error": error}, status=400)
