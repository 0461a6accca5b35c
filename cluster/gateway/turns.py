"""The turns of one gateway: a bounded number at once, each a task of its own."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cluster.core.errors import HearthError, Overloaded, ServerError
from cluster.core.events import Feature, Privacy, TurnArrived
from cluster.core.ids import Cause, TurnId
from cluster.gateway.answer import Answer
from cluster.gateway.fronts import FrontRefused, Fronts
from cluster.gateway.journey import Journey, Sink
from cluster.gateway.link import RouterLink
from cluster.gateway.pieces import Finished, Piece, Silence
from cluster.gateway.relay import error_of
from cluster.gateway.size import prompt_bytes
from cluster.gateway.waiting import WaitTimes, waiting
from cluster.metrics import GatewayCounters
from cluster.wire import TurnRequest, encode_request

log = logging.getLogger(__name__)

PENDING_PIECES = 256
"""A client that reads slower than the engine writes holds the engine back after so many."""

Pieces = asyncio.Queue[Piece | HearthError]


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """`keepalive_s`: a client that hears nothing for longer may give up.  `num_turns`: at once."""

    num_turns: int = 1024
    patience_s: float = 120.0
    keepalive_s: float = 2.0
    wait: WaitTimes = field(default_factory=WaitTimes)


class Turns:
    """`close` it to cancel what runs."""

    def __init__(
        self, link: RouterLink, fronts: Fronts, counters: GatewayCounters, limits: TurnLimits | None = None
    ) -> None:
        self.link, self.fronts, self.counters = link, fronts, counters
        self.limits = limits or TurnLimits()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def admit(self) -> None:
        """Raises Overloaded where this gateway has too many turns."""
        if self.link.num_turns >= self.limits.num_turns:
            raise Overloaded(f"this gateway answers {self.link.num_turns} turns already")

    @asynccontextmanager
    async def answer(
        self, request: TurnRequest, privacy: Privacy = Privacy.ANY
    ) -> AsyncGenerator[AsyncIterator[Piece]]:
        """The pieces of the answer as they come, Silence where none do; the last is Finished.

        Iterating raises HearthError.  Leaving the context earlier cancels the turn.
        """
        self.admit()
        pieces = Pieces(PENDING_PIECES)
        task = asyncio.create_task(self._run(request, privacy, pieces), name=f"turn {request.turn}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        stream = _Stream(pieces, self.limits.keepalive_s)
        try:
            yield stream.pieces()
        finally:
            # A turn that is over still reads its stream to the end, so that the connection can be used again.
            if not stream.is_over:
                task.cancel()
                await asyncio.wait({task})

    async def _run(self, request: TurnRequest, privacy: Privacy, pieces: Pieces) -> None:
        try:
            await self._travel(request, privacy, pieces.put)
        except HearthError as error:
            await pieces.put(error)
        except Exception as fault:  # the client is told, whatever it is
            log.exception("turn %s failed", request.turn)
            await pieces.put(ServerError(f"The gateway failed ({type(fault).__name__})."))

    async def _travel(self, request: TurnRequest, privacy: Privacy, sink: Sink) -> None:
        body = encode_request(request)

        async def measure(endpoint: str, ticket: str) -> int | None:
            try:
                return await self.fronts.measure(endpoint, ticket, body)
            except FrontRefused as refusal:
                raise error_of(refusal.failed) from refusal

        arrival = self._arrival(request, privacy, prompt_bytes(request, len(body)))
        async with waiting(self.link, arrival, measure, self.limits.wait) as turn:
            answer = Answer(request, new_call_id)
            try:
                await Journey(answer, turn, self.fronts, self.counters, sink).run()
            except asyncio.CancelledError:
                if not turn.is_over:
                    self.counters.disconnected()
                raise

    def _arrival(self, request: TurnRequest, privacy: Privacy, num_bytes: int) -> TurnArrived:
        return TurnArrived(
            turn=TurnId(request.turn),
            gateway=self.link.gateway,
            session=request.session,
            model=request.model,
            prompt_bytes=num_bytes,
            cause=Cause(request.turn),
            max_tokens=request.max_tokens,
            privacy=privacy,
            needs=needs_of(request),
            patience_s=self.limits.patience_s,
        )


class _Stream:
    def __init__(self, pieces: Pieces, keepalive_s: float) -> None:
        self._pieces, self._keepalive_s = pieces, keepalive_s
        self.is_over = False

    async def pieces(self) -> AsyncGenerator[Piece]:
        while not self.is_over:
            piece = await self._next()
            self.is_over = isinstance(piece, Finished | HearthError)
            if isinstance(piece, HearthError):
                raise piece
            yield piece

    async def _next(self) -> Piece | HearthError:
        if not self._pieces.empty():
            return self._pieces.get_nowait()
        try:
            async with asyncio.timeout(self._keepalive_s):
                return await self._pieces.get()
        except TimeoutError:
            return Silence()


def needs_of(request: TurnRequest) -> frozenset[Feature]:
    needs = {Feature.CHAT}
    if request.has_images:
        needs.add(Feature.IMAGES)
    if request.constrained:
        needs.add(Feature.GRAMMAR)
    return frozenset(needs)


def new_turn_id() -> str:
    return secrets.token_hex(12)


def new_call_id() -> str:
    return f"call_{secrets.token_hex(12)}"
