"""The shell around the machine: it keeps time, seals tickets, and carries commands out.  No Ray in it.

Everything runs on one event loop and no decision awaits, so the machine has one writer and needs no lock.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import aiohttp

from cluster import codec
from cluster.core.commands import Command, Measure, Place, ToFront, ToGateway
from cluster.core.events import Event, GatewayUp, ReplicaReady, Tick, TurnArrived
from cluster.core.ids import BootId, Cause, GatewayId, LeaseId, ReplicaId
from cluster.core.machine import RouterMachine
from cluster.core.view import LoadingStatus, PoolView
from cluster.journal import Journal
from cluster.outbox import Outbox, Send
from cluster.ports import Delivery, GatewayPort
from cluster.ticket import Ticket, seal, sign

log = logging.getLogger(__name__)

TICK_S = 0.25
DELIVER_S = 5.0
CONTROL_S = 2.0


@dataclass(slots=True)
class Front:
    """A front as the shell needs it: how to sign for it and how to reach it."""

    boot: BootId
    secret: bytes
    endpoint: str
    outbox: Outbox[ToFront]


@dataclass(slots=True)
class Gateway:
    port: GatewayPort
    outbox: Outbox[Delivery]


class Router:
    """Implements RouterPort over one RouterMachine.  Use as an async context manager."""

    def __init__(
        self,
        machine: RouterMachine,
        epoch: int,
        journal: Journal | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine, self._epoch, self._journal, self._now = machine, epoch, journal, now
        self._fronts: dict[ReplicaId, Front] = {}
        self._gateways: dict[GatewayId, Gateway] = {}
        self._loading: dict[str, LoadingStatus] = {}
        self._num_ticks = 0

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONTROL_S))
        self._ticking = asyncio.create_task(self._tick(), name="router tick")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)
        for front in self._fronts.values():
            await front.outbox.close()
        for gateway in self._gateways.values():
            await gateway.outbox.close()
        await self._http.close()
        if self._journal is not None:
            self._journal.close()

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int:
        known = self._gateways.get(gateway)
        if known is not None and known.port is not port:
            await known.outbox.close()
            known = None
        if known is None:
            outbox = Outbox(gateway, self._deliverer(port), DELIVER_S)
            self._gateways[gateway] = Gateway(port, outbox)
        self._handle(GatewayUp(gateway, Cause(f"attach {gateway}")))
        return self._epoch

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        known = self._fronts.get(event.replica)
        if known is None or known.boot != event.boot:
            if known is not None:
                await known.outbox.close()
            outbox = Outbox[ToFront](event.replica, self._controller(event.replica), CONTROL_S)
            self._fronts[event.replica] = Front(event.boot, secret, event.endpoint, outbox)
        self._loading.pop(event.replica, None)
        self._handle(event)
        return self._epoch

    async def loading(self, status: LoadingStatus) -> int:
        self._loading[status.replica] = status
        return self._epoch

    async def post(self, events: Sequence[Event]) -> int:
        for event in events:
            if isinstance(event, TurnArrived) and event.gateway not in self._gateways:
                continue  # what became of it could not be told; it is told again once attached
            self._handle(event)
        return self._epoch

    async def view(self) -> PoolView:
        return replace(self._machine.view(self._now()), loading=tuple(self._loading.values()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._num_ticks += 1
            self._handle(Tick(Cause(f"tick {self._num_ticks}")))
            if self._journal is not None:
                self._journal.flush()

    def _handle(self, event: Event) -> None:
        now = self._now()
        if self._journal is not None:
            self._journal.append(event, now)
        for command in self._machine.handle(event, now):
            self._dispatch(command)

    def _dispatch(self, command: Command) -> None:
        if isinstance(command, ToGateway):
            gateway = self._gateways.get(command.gateway)
            if gateway is not None:
                gateway.outbox.put(Delivery(command, self._ticket(command)))
            return
        front = self._fronts.get(command.replica)
        if front is not None and front.boot == command.boot:
            front.outbox.put(command)

    def _ticket(self, command: ToGateway) -> str:
        """What the front wants to see: a grant, or for Measure a ticket that books nothing."""
        if not isinstance(command, Place | Measure):
            return ""
        front = self._fronts.get(command.replica)
        if front is None:
            return ""
        lease, reserved = LeaseId(""), 0
        if isinstance(command, Place):
            lease, reserved = command.lease, command.reserved_tokens
        ticket = Ticket(lease, command.turn, command.session, reserved, front.boot, self._epoch)
        return sign(front.secret, ticket)

    def _deliverer(self, port: GatewayPort) -> Send[Delivery]:
        async def deliver(batch: Sequence[Delivery]) -> None:
            await port.deliver(self._epoch, batch)

        return deliver

    def _controller(self, replica: ReplicaId) -> Send[ToFront]:
        async def control(batch: Sequence[ToFront]) -> None:
            front = self._fronts[replica]
            for command in batch:
                body = seal(front.secret, codec.encode(command))
                async with self._http.post(f"{front.endpoint}/control", data=body) as answer:
                    answer.raise_for_status()

        return control
