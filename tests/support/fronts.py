"""A front with a fake engine, a listening router and a client that speaks real HTTP to it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import aiohttp
import msgpack

from cluster import codec
from cluster.core.commands import Command
from cluster.core.ids import BootId, Cause, DeploymentId, LeaseId, NodeId, ReplicaId, SessionKey, TurnId
from cluster.deployments.fake import FakeEngine
from cluster.front.context import Identity
from cluster.front.front import Front
from cluster.front.limits import FrontLimits
from cluster.front.server import Server
from cluster.ticket import Ticket, seal, sign
from cluster.wire import TICKET_HEADER, Frame, FrameDecoder, TurnRequest, encode_request
from tests.support.routers import ListeningRouter

QUICK = FrontLimits(report_s=0.05, retry_s=0.01, max_retry_s=0.05, close_s=2.0)
"""Limits under which nothing makes a test wait."""

_numbers = count(1)


def ask(text: str, session: str = "s", max_tokens: int | None = None) -> TurnRequest:
    number = next(_numbers)
    return TurnRequest(
        turn=f"turn-{number}",
        session=SessionKey("t", session),
        model="fake",
        messages=({"role": "user", "content": text},),
        max_tokens=max_tokens,
    )


@dataclass
class FrontClient:
    """The gateway's side, and the router's where it signs."""

    front: Front
    router: ListeningRouter
    engine: FakeEngine
    http: aiohttp.ClientSession
    boot: BootId = field(default=BootId("boot-1"))

    def ticket(self, request: TurnRequest, reserved_tokens: int = 512, epoch: int = 1) -> Ticket:
        lease = LeaseId(f"lease-{request.turn}")
        return Ticket(lease, TurnId(request.turn), request.session, reserved_tokens, self.boot, epoch)

    def sign(self, ticket: Ticket) -> str:
        return sign(self.front.secret, ticket)

    def post(self, path: str, ticket: str, body: bytes) -> "aiohttp.client._RequestContextManager":
        url = self.front.endpoint + path
        return self.http.post(url, data=body, headers={TICKET_HEADER: ticket})

    async def turn(
        self, request: TurnRequest, reserved_tokens: int = 512, ticket: str | None = None
    ) -> list[Frame]:
        """Presents a turn and returns all of its frames."""
        frames = self.stream(request, reserved_tokens, ticket)
        return [frame async for frame in frames]

    async def stream(
        self, request: TurnRequest, reserved_tokens: int = 512, ticket: str | None = None
    ) -> AsyncGenerator[Frame]:
        """Raises aiohttp.ClientPayloadError where the stream was broken off."""
        sealed = self.sign(self.ticket(request, reserved_tokens)) if ticket is None else ticket
        decoder = FrameDecoder()
        async with self.post("/turn", sealed, encode_request(request)) as response:
            async for data in response.content.iter_any():
                for frame in decoder.feed(data):
                    yield frame

    async def measure(self, request: TurnRequest, sealed: str) -> int | None:
        async with self.post("/measure", sealed, encode_request(request)) as response:
            assert response.status == 200
            return msgpack.unpackb(await response.read())["prompt_tokens"]

    async def command(self, command: Command, secret: bytes | None = None) -> tuple[int, str]:
        sealed = seal(secret or self.front.secret, codec.encode(command))
        return await self.post_control(sealed.encode())

    async def post_control(self, body: bytes) -> tuple[int, str]:
        async with self.http.post(self.front.endpoint + "/control", data=body) as response:
            return response.status, await response.text()


@asynccontextmanager
async def serving(
    engine: FakeEngine, limits: FrontLimits = QUICK, router: ListeningRouter | None = None
) -> AsyncGenerator[FrontClient]:
    """A front over `engine` on a real socket."""
    router = router or ListeningRouter()
    facts = await engine.start(lambda _: None)
    who = Identity(ReplicaId("replica-1"), BootId("boot-1"), DeploymentId("fake"), NodeId("node-1"))
    front = Front(who, engine, facts, router, limits)
    server = Server(front, "127.0.0.1")
    await server.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            yield FrontClient(front, router, engine, http)
    finally:
        await engine.stop()
        await front.close("the test is over", Cause("test"))
        await server.close()
        front.book.ledger.check()
        assert not front.book.ledger.leases, "a lease outlived its turn"
        assert engine.num_over_capacity == 0
