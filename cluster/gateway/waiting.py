"""One turn's talk with the router: the two phases of waiting, and what became of its places.

The router decides when a turn is refused or committed.  Where none answers, the gateway commits by itself
after `commit_s`, so that no client waits four seconds for its status line, and gives up after `total_s`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cluster.core.commands import Commit, Measure, Place, Queue, Reject
from cluster.core.errors import Overloaded
from cluster.core.events import (
    Event,
    FirstToken,
    GrantRefused,
    StreamLost,
    TurnArrived,
    TurnCancelled,
    TurnFinished,
    TurnMeasured,
)
from cluster.core.ids import Cause
from cluster.gateway.link import Mailbox, RouterLink
from cluster.gateway.pieces import Committed, Queued, Usage
from cluster.ports import Delivery

Sink = Callable[[Queued | Committed], Awaitable[None]]
Measurer = Callable[[str, str], Awaitable[int | None]]
"""Asks the front at an endpoint, with a ticket, for the exact size of the prompt.  Raises HearthError."""


@dataclass(frozen=True, slots=True)
class WaitTimes:
    """Seconds since the turn arrived.  The router commits before `commit_s` where there is one.

    `announce_s`: a turn that hears nothing for so long is told to the router again, in case one of the
    two has missed what the other said; to a router that knows the turn this changes nothing.
    """

    commit_s: float = 3.9
    total_s: float = 1800.0
    announce_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A place, and the epoch of the router that gave it."""

    place: Place
    ticket: str
    epoch: int


class Waiting:
    """Made by `waiting`, for one turn."""

    def __init__(self, link: RouterLink, mailbox: Mailbox, measurer: Measurer, times: WaitTimes) -> None:
        self._link, self._mailbox, self._measurer, self._times = link, mailbox, measurer, times
        self._waiting_since = mailbox.arrived_at
        self.is_over = self.has_waited_for_load = False

    @property
    def is_committed(self) -> bool:
        return self._mailbox.arrival.committed

    @property
    def cause(self) -> Cause:
        return self._mailbox.arrival.cause

    def waited_s(self) -> float:
        return self._link.clock() - self._mailbox.arrived_at

    async def place(self, sink: Sink) -> Grant:
        """The next place of this turn.  Raises what the router refuses it with."""
        measures: set[asyncio.Task[None]] = set()
        try:
            while True:
                heard = await self._hear(measures)
                if heard is None:
                    await self._heard_nothing(sink)
                    continue
                epoch, delivery = heard
                match delivery.command:
                    case Place() as place:
                        return Grant(place, delivery.ticket, epoch)
                    case Measure() as measure:
                        task = asyncio.create_task(self._measure(measure, delivery.ticket))
                        task.add_done_callback(_read)
                        measures.add(task)
                    case Queue() as queue:
                        self.has_waited_for_load = self.has_waited_for_load or bool(queue.loading)
                        await sink(Queued(queue.position, queue.estimate_s, queue.loading, queue.fraction))
                    case Commit():
                        await self._commit(sink)
                    case Reject() as reject:
                        self.is_over = True
                        raise reject.error
        finally:
            for task in measures:
                task.cancel()

    async def _hear(self, measures: set[asyncio.Task[None]]) -> tuple[int, Delivery] | None:
        """The router's next word; None: there was none for a while.  Raises what a measure found wrong with
        the turn: a place that comes first is not held up by it."""
        now = asyncio.get_running_loop().time
        until = now() + self._patience_s()
        word = asyncio.create_task(self._mailbox.deliveries.get())
        try:
            while not word.done():
                left_s = until - now()
                if left_s <= 0:
                    return None
                await asyncio.wait({word, *measures}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if not word.done():
                    for measured in {each for each in measures if each.done()}:
                        measures.remove(measured)
                        measured.result()
            return word.result()
        finally:
            word.cancel()

    def _patience_s(self) -> float:
        if self.is_committed:
            left = self._waiting_since + self._times.total_s - self._link.clock()
        else:
            left = self._times.commit_s - self.waited_s()
        return min(max(0.0, left), self._times.announce_s)

    async def _heard_nothing(self, sink: Sink) -> None:
        if self._link.clock() - self._waiting_since >= self._times.total_s:
            raise Overloaded(f"no place within {self._times.total_s:.0f} s")
        if self.waited_s() >= self._times.commit_s:
            await self._commit(sink)
        self._link.announce(self._mailbox)

    async def commit_in_time(self, sink: Sink) -> None:
        """Commits after `commit_s`, whatever the turn waits for then: a measure, or a front that is slow."""
        await asyncio.sleep(max(0.0, self._times.commit_s - self.waited_s()))
        await self._commit(sink)
        if self._mailbox.lease is None:
            self._link.announce(self._mailbox)

    async def _commit(self, sink: Sink) -> None:
        if not self.is_committed:
            self._mailbox.arrival = replace(self._mailbox.arrival, committed=True)
            await sink(Committed())

    async def _measure(self, measure: Measure, ticket: str) -> None:
        tokens = await self._measurer(measure.endpoint, ticket)
        self._tell(TurnMeasured(measure.turn, tokens, self.cause))

    def refused(self, grant: Grant, reason: str, prompt_tokens: int | None) -> None:
        """The front did not book the grant: the turn wants another place."""
        turn, lease = grant.place.turn, grant.place.lease
        if grant.epoch == self._link.epoch:
            self._requeue(GrantRefused(turn, lease, reason, prompt_tokens, self.cause))
        else:  # The router of now was told that the turn runs under this lease.
            self._requeue(StreamLost(turn, lease, prompt_tokens, 0, True, True, self.cause))

    def lost(self, grant: Grant, prompt_tokens: int | None, generated_tokens: int, preempted: bool) -> None:
        """The stream broke: the turn wants to go on elsewhere, `prompt_tokens` with what it generated."""
        turn, lease = grant.place.turn, grant.place.lease
        self._mailbox.arrival = replace(
            self._mailbox.arrival, prompt_tokens=prompt_tokens, generated_tokens=generated_tokens
        )
        self._requeue(StreamLost(turn, lease, prompt_tokens, generated_tokens, preempted, True, self.cause))

    def _requeue(self, event: GrantRefused | StreamLost) -> None:
        self._mailbox.lease, self._waiting_since = None, self._link.clock()
        while not self._mailbox.deliveries.empty():
            self._mailbox.deliveries.get_nowait()
        self._tell(event)

    def gave_up(self, grant: Grant) -> None:
        """The stream broke after it had begun, and cannot go on."""
        self.is_over = True
        self._tell(StreamLost(grant.place.turn, grant.place.lease, None, 1, False, False, self.cause))

    def first_token(self) -> None:
        self._tell(FirstToken(self._mailbox.arrival.turn, self.cause))

    def finished(self, usage: Usage) -> None:
        self.is_over = True
        turn = self._mailbox.arrival.turn
        tokens = usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
        self._tell(TurnFinished(turn, *tokens, self.cause))

    def cancelled(self) -> None:
        self.is_over = True
        self._tell(TurnCancelled(self._mailbox.arrival.turn, self.cause))

    def _tell(self, event: Event) -> None:
        self._link.tell(event)


def _read(task: asyncio.Task[None]) -> None:
    """What a measure found after its turn had a place is no news."""
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def waiting(
    link: RouterLink, arrival: TurnArrived, measurer: Measurer, times: WaitTimes
) -> AsyncGenerator[Waiting]:
    """Posts the arrival; at the end, whatever ended it, the router knows that the turn is over."""
    turn = Waiting(link, link.open(arrival), measurer, times)
    try:
        yield turn
    finally:
        if not turn.is_over:
            turn.cancelled()
        link.close(arrival.turn)
