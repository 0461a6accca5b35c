"""The network side of a front: HTTP on the node's address.

| request         | answer |
|-----------------|--------|
| POST /turn      | 200 and frames, whatever they say |
| POST /measure   | `{"prompt_tokens": int or nil}`; else its status and one Failed frame |
| POST /embed     | Embeddings; else its status and one Failed frame |
| POST /control   | 204; else its status and words |
| GET /health     | 200 while it takes turns, 503 once it does not |
| GET /leases     | counts |

Without a ticket nobody makes the engine do anything, and bodies are read after the ticket was checked.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgpack
from aiohttp import web

from cluster.core.errors import HearthError
from cluster.deployments.engine import EngineFault, EngineLost
from cluster.front import failures
from cluster.front.control import ControlRefused, obey
from cluster.front.front import Front
from cluster.front.gate import Refused
from cluster.front.turns import Turn
from cluster.ticket import Ticket
from cluster.wire import (
    TICKET_HEADER,
    Failed,
    decode_embed,
    decode_turn,
    encode_embeddings,
    encode_frame,
)

MSGPACK = "application/msgpack"
log = logging.getLogger(__name__)


class Server:
    """Serves one front on `host`, on a free port."""

    def __init__(self, front: Front, host: str) -> None:
        self._front, self._host = front, host
        app = web.Application(client_max_size=front.limits.body_bytes)
        app.add_routes(
            [
                web.post("/turn", self._turn),
                web.post("/measure", self._measure),
                web.post("/embed", self._embed),
                web.post("/control", self._control),
                web.get("/health", self._health),
                web.get("/leases", self._leases),
            ]
        )
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=front.limits.idle_connection_s,
            shutdown_timeout=1.0,
        )
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens, tells the front its endpoint, and starts it.  Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._protocol, self._host, 0)
        host, port = self._listener.sockets[0].getsockname()[:2]
        self._front.endpoint = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._front.start()

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self._front.limits.num_connections:
            return _Full()
        return server()

    async def close(self) -> None:
        """Stops listening and closes all connections."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    async def _turn(self, request: web.Request) -> web.StreamResponse:
        try:
            ticket = self._admit(request)
            turn = self._front.begin(ticket, decode_turn(await self._body(request)))
        except (Refused, ValueError) as fault:
            return web.Response(body=encode_frame(_as_failed(fault)), content_type=MSGPACK)
        try:
            return await self._stream(request, turn)
        finally:
            turn.stop("gone")

    async def _stream(self, request: web.Request, turn: Turn) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": MSGPACK})
        await response.prepare(request)
        async for chunk in turn.pipe.chunks():
            async with asyncio.timeout(self._front.limits.write_s):
                await response.write(chunk)
        if turn.pipe.is_broken and request.transport is not None:
            request.transport.abort()
        else:
            await response.write_eof()
        return response

    async def _measure(self, request: web.Request) -> web.Response:
        async def measure() -> bytes:
            self._admit(request)
            turn = decode_turn(await self._body(request))
            return msgpack.packb({"prompt_tokens": await self._front.measure(turn)})

        return await _one(measure)

    async def _embed(self, request: web.Request) -> web.Response:
        async def embed() -> bytes:
            ticket = self._admit(request)
            wanted = decode_embed(await self._body(request))
            return encode_embeddings(await self._front.embed(ticket, wanted))

        return await _one(embed)

    async def _control(self, request: web.Request) -> web.Response:
        try:
            await obey(self._front, (await self._body(request)).decode(errors="replace"))
        except ControlRefused as fault:
            return web.Response(status=fault.status, text=fault.words)
        except (EngineFault, EngineLost, TimeoutError) as fault:
            return web.Response(status=502, text=f"The engine failed: {fault}")
        return web.Response(status=204)

    async def _health(self, _: web.Request) -> web.Response:
        is_open = self._front.gate.is_open
        return web.json_response({"open": is_open}, status=200 if is_open else 503)

    async def _leases(self, _: web.Request) -> web.Response:
        ledger = self._front.book.ledger
        return web.json_response(
            {
                "num_leases": len(ledger.leases),
                "num_resident": len(ledger.resident),
                "reserved_tokens": ledger.reserved_tokens,
                "resident_tokens": ledger.resident_tokens,
                "free_tokens": ledger.free_tokens,
            }
        )

    def _admit(self, request: web.Request) -> Ticket:
        return self._front.admit(request.headers.get(TICKET_HEADER, ""))

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._front.limits.body_s):
                return await request.read()
        except TimeoutError as fault:
            raise web.HTTPRequestTimeout(text="The body took too long.") from fault


async def _one(work: Callable[[], Awaitable[bytes]]) -> web.Response:
    """One answer, or one Failed frame with its status."""
    try:
        return web.Response(body=await work(), content_type=MSGPACK)
    except (Refused, HearthError, ValueError, EngineFault, EngineLost, TimeoutError) as fault:
        failed = _as_failed(fault)
        return web.Response(status=failed.status, body=encode_frame(failed), content_type=MSGPACK)


def _as_failed(fault: Exception) -> Failed:
    match fault:
        case Refused():
            return fault.failed
        case HearthError():
            return failures.from_error(fault)
        case ValueError():
            return Failed(400, "invalid_request", f"The request cannot be read: {fault}")
        case _:
            return failures.engine_failed(str(fault) or "no answer in time.")


class _Full(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
