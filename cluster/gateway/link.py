"""The gateway's talk with the router, which may go away and come back as another one.

Events wait in an outbox and go in order, many in one call; `GatewayUp` is said each second.  Where an
answer shows a new epoch, the gateway attaches again and tells the new router all its turns: those that
wait with what they have waited, those that run with their lease.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cluster.core.commands import Place, Reject
from cluster.core.events import Event, GatewayUp, TurnArrived, TurnCancelled
from cluster.core.ids import Cause, GatewayId, LeaseId, TurnId
from cluster.core.view import PoolView
from cluster.ports import Delivery, RouterAway, RouterPort

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

MAILBOX_SIZE = 64
OUTBOX_SIZE = 65_536
"""Far over what the turns of one gateway can say while no router answers."""


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Seconds."""

    heartbeat_s: float = 1.0
    call_s: float = 5.0
    retry_s: float = 0.1


@dataclass(slots=True)
class Mailbox:
    """One turn's deliveries, each with its router's epoch, and what a new router has to know of the turn.

    `lease`: under what it runs, or was placed last.
    """

    arrival: TurnArrived
    arrived_at: float
    lease: LeaseId | None = None
    deliveries: asyncio.Queue[tuple[int, Delivery]] = field(
        default_factory=lambda: asyncio.Queue[tuple[int, Delivery]](MAILBOX_SIZE)
    )


class RouterLink:
    """A GatewayPort.  Run `run` as a task for as long as the gateway lives."""

    def __init__(
        self,
        router: RouterPort,
        gateway: GatewayId,
        times: LinkTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gateway, self.clock = gateway, clock
        self.epoch = -1
        self._router, self._times = router, times or LinkTimes()
        self._is_attached = False
        self._next_beat = 0.0
        self._mailboxes: dict[TurnId, Mailbox] = {}
        self._outbox: deque[Event] = deque(maxlen=OUTBOX_SIZE)
        self._woken = asyncio.Event()
        self._last_view: tuple[float, PoolView] | None = None

    @property
    def is_attached(self) -> bool:
        """Whether a router answered the latest call."""
        return self._is_attached

    @property
    def num_turns(self) -> int:
        return len(self._mailboxes)

    def open(self, arrival: TurnArrived) -> Mailbox:
        """Posts the arrival and keeps the turn known until `close`."""
        mailbox = Mailbox(arrival, self.clock())
        self._mailboxes[arrival.turn] = mailbox
        self.tell(arrival)
        return mailbox

    def close(self, turn: TurnId) -> None:
        self._mailboxes.pop(turn, None)

    def tell(self, *events: Event) -> None:
        """Says it to the router, soon."""
        self._outbox.extend(events)
        self._woken.set()

    def announce(self, mailbox: Mailbox) -> None:
        """Tells a router of a turn that it may not know."""
        waited = self.clock() - mailbox.arrived_at
        self.tell(replace(mailbox.arrival, waited_s=waited, lease=mailbox.lease))

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        if epoch < self.epoch:
            return
        for delivery in deliveries:
            self._put(epoch, delivery)

    def _put(self, epoch: int, delivery: Delivery) -> None:
        mailbox = self._mailboxes.get(delivery.command.turn)
        if mailbox is None:
            if not isinstance(delivery.command, Reject):  # A turn that is over was told again, too late.
                self.tell(TurnCancelled(delivery.command.turn, delivery.command.cause))
            return
        if mailbox.deliveries.full():
            log.warning("turn %s has %d deliveries unread", delivery.command.turn, MAILBOX_SIZE)
            return
        if isinstance(delivery.command, Place):
            mailbox.lease = delivery.command.lease
        mailbox.deliveries.put_nowait((epoch, delivery))

    async def view(self, max_age_s: float = 0.5) -> PoolView:
        """The router's view; a younger one than `max_age_s` is not asked for again.  Raises RouterAway."""
        now = self.clock()
        if self._last_view is None or now - self._last_view[0] > max_age_s:
            self._last_view = now, await self._call(self._router.view())
        return self._last_view[1]

    async def post(self, event: Event) -> None:
        """Says it now; the next view shows what came of it.  Raises RouterAway."""
        await self._call(self._router.post((event,)))
        self._last_view = None

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._exchange()
            except RouterAway as fault:
                if self._is_attached:
                    log.warning("router away: %s", fault)
                self._is_attached = False
                await asyncio.sleep(self._times.retry_s)
                continue
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(max(0.0, self._next_beat - self.clock())):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _exchange(self) -> None:
        if not self._is_attached:
            await self._attach()
        if self.clock() >= self._next_beat:
            self._next_beat = self.clock() + self._times.heartbeat_s
            self._outbox.append(GatewayUp(self.gateway, Cause("heartbeat")))
        while self._outbox:
            batch = tuple(self._outbox)
            epoch = await self._call(self._router.post(batch))
            for _ in batch:
                self._outbox.popleft()
            if epoch > self.epoch:
                await self._attach()

    async def _attach(self) -> None:
        epoch = await self._call(self._router.attach(self.gateway, self))
        if epoch < self.epoch:
            raise RouterAway(f"only an older router answers (epoch {epoch} after {self.epoch})")
        self._is_attached = True
        if epoch != self.epoch:
            self.epoch = epoch
            self._renew()

    def _renew(self) -> None:
        """To a new router all turns have just arrived; what is older about them means nothing to it."""
        kept = [event for event in self._outbox if getattr(event, "turn", None) not in self._mailboxes]
        self._outbox.clear()
        self._outbox.extend(kept)
        for mailbox in self._mailboxes.values():
            self.announce(mailbox)

    async def _call(self, call: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._times.call_s):
                return await call
        except TimeoutError as fault:
            raise RouterAway(f"no answer within {self._times.call_s} s") from fault
