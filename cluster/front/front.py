"""The front: the only one who lets anybody compute at this replica.

It checks tickets, keeps the ledger, and reports.  A front lives as long as one boot of its engine; the next
boot gets a new one, with a new secret.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from cluster.core.events import (
    Event,
    LeaseEnded,
    LeaseStarted,
    ReplicaDraining,
    ReplicaGone,
)
from cluster.core.ids import Cause, LeaseId
from cluster.core.ledger import Ledger, Reservation
from cluster.deployments.engine import Engine, EngineFacts
from cluster.front import failures, news
from cluster.front.book import Book, NoRoom
from cluster.front.context import FrontContext, Identity
from cluster.front.counters import FrontCounters
from cluster.front.gate import Gate, Refused
from cluster.front.limits import FrontLimits
from cluster.front.prepared import Prepared
from cluster.front.reporter import Reporter
from cluster.front.turns import Turn, Why
from cluster.ports import RouterAway, RouterPort
from cluster.ticket import Ticket
from cluster.wire import Embeddings, EmbedRequest, TurnRequest

DRAINED = "drained"


class Front:
    """All but the network side, which is `server.Server`; that one sets `endpoint`."""

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        facts: EngineFacts,
        router: RouterPort,
        limits: FrontLimits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        limits, counters = limits or FrontLimits(), FrontCounters()
        book = Book(Ledger(facts.capacity), engine, counters, now, limits.evict_s)
        prepared = Prepared(limits.prepared_tokens)
        self.context = FrontContext(identity, engine, facts, book, limits, counters, prepared, self.say, now)
        self.identity, self.limits, self.book, self.counters = identity, limits, book, counters
        self.endpoint = ""
        self.secret = secrets.token_bytes(32)
        self.gate = Gate(identity.boot, self.secret, counters, limits.num_remembered_leases)
        self.reporter = Reporter(
            router,
            self.secret,
            lambda: news.ready(self.context, self.endpoint),
            lambda ended: news.report(self.context, ended),
            limits,
            now,
        )
        self._turns: dict[LeaseId, Turn] = {}
        self._num_embeds = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def start(self) -> None:
        """Begins to report and to watch the engine."""
        for work in (self.reporter.run(), self._watch_death(), self._watch_stalls()):
            self.spawn(work)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work` as a task that ends with the front."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say(self, event: Event) -> None:
        if isinstance(event, LeaseEnded):
            self.reporter.ended(event.lease)
        self.reporter.say(event)

    def admit(self, sealed: str) -> Ticket:
        """Checks a ticket.  Raises Refused."""
        self.gate.epoch = max(self.gate.epoch, self.reporter.epoch)
        return self.gate.check(sealed)

    def begin(self, ticket: Ticket, request: TurnRequest) -> Turn:
        """Starts a turn; its frames come out of its pipe.  Raises Refused."""
        self.gate.present(ticket, request)
        turn = Turn(self.context, ticket, request)
        self._turns[ticket.lease] = turn
        self._is_idle.clear()
        self.spawn(self._run(turn))
        return turn

    async def _run(self, turn: Turn) -> None:
        try:
            await turn.run()
        finally:
            del self._turns[turn.ticket.lease]
            self._note_idle()

    def _note_idle(self) -> None:
        if not self._turns and not self._num_embeds:
            self._is_idle.set()

    async def measure(self, request: TurnRequest) -> int | None:
        """The exact size of the prompt; None where the engine does not know it."""
        self.counters.num_measures += 1
        async with asyncio.timeout(self.limits.prepare_s):
            prompt = await self.context.engine.prepare(request)
        self.context.prepared.keep(request, prompt)
        return prompt.tokens

    async def embed(self, ticket: Ticket, request: EmbedRequest) -> Embeddings:
        """Raises Refused, TimeoutError, and what the engine raises."""
        self.gate.present(ticket, request)
        self._num_embeds += 1
        self._is_idle.clear()
        # The lease ends with the work, not with the connection.
        return await asyncio.shield(self.spawn(self._embed(ticket, request)))

    async def _embed(self, ticket: Ticket, request: EmbedRequest) -> Embeddings:
        reserved = ticket.reserved_tokens
        try:
            await self.book.open(Reservation(ticket.lease, ticket.turn, ticket.session, reserved))
            try:
                return await self._embed_leased(ticket, request)
            finally:
                await self._end_embed(ticket)
        except NoRoom as fault:
            self.counters.num_no_room += 1
            raise Refused(failures.no_room(None)) from fault
        finally:
            self._num_embeds -= 1
            self._note_idle()

    async def _embed_leased(self, ticket: Ticket, request: EmbedRequest) -> Embeddings:
        who, reserved = self.identity, self.book.reserved(ticket.lease)
        cause = Cause(ticket.turn)
        self.say(LeaseStarted(who.replica, who.boot, ticket.lease, reserved, reserved, cause))
        self.counters.num_embeds += 1
        async with asyncio.timeout(self.limits.embed_s):
            return await self.context.engine.embed(request)

    async def _end_embed(self, ticket: Ticket) -> None:
        await self.book.close(ticket.lease, 0)
        who = self.identity
        self.say(LeaseEnded(who.replica, who.boot, ticket.lease, 0, Cause(ticket.turn)))

    def preempt(self, lease: LeaseId) -> None:
        if turn := self._turns.get(lease):
            turn.stop("preempted")

    async def lost(self) -> str:
        """Returns, with the reason, when the engine died or is stuck, or all is drained."""
        return await asyncio.shield(self._lost)

    async def _watch_death(self) -> None:
        self._lose(await self.context.engine.died())

    async def _watch_stalls(self) -> None:
        while True:
            await asyncio.sleep(self.limits.report_s)
            if any(turn.is_stalled(self.context.now()) for turn in self._turns.values()):
                self._lose(f"the engine said nothing for {self.limits.stall_s:g} s")

    def _lose(self, reason: str) -> None:
        self.gate.is_open = False
        if not self._lost.done():
            self._lost.set_result(reason)
        self._stop_turns("lost")

    def _stop_turns(self, why: Why) -> None:
        for turn in self._turns.values():
            turn.stop(why)

    def begin_drain(self, cause: Cause) -> None:
        """Drains without waiting for it; `lost` tells the end."""
        self.spawn(self._drain_away(cause))

    async def _drain_away(self, cause: Cause) -> None:
        await self.drain(self.limits.drain_s, cause)
        self._lose(DRAINED)

    async def drain(self, deadline_s: float, cause: Cause) -> None:
        """Takes nothing new and waits for what runs; what still runs after `deadline_s` goes on elsewhere."""
        if self.gate.is_open:
            self.gate.is_open = False
            self.say(ReplicaDraining(self.identity.replica, self.identity.boot, cause))
        if not await self._idle_within(deadline_s):
            self._stop_turns("preempted")
            await self._idle_within(self.limits.preempt_s)

    async def _idle_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_idle.wait()
        return self._is_idle.is_set()

    async def close(self, reason: str, cause: Cause) -> None:
        """Breaks off what runs, tells the router that this boot is gone, and stops."""
        self._lose(reason)
        self.say(ReplicaGone(self.identity.replica, self.identity.boot, reason, cause))
        with contextlib.suppress(TimeoutError, RouterAway):
            async with asyncio.timeout(self.limits.close_s):
                await self.reporter.flush()
                await self._is_idle.wait()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
