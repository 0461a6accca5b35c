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
from cluster.core.commands import Command, Measure, Place, ToFront, ToGateway, ToLoader
from cluster.core.events import (
    DeploymentLoading,
    DeploymentWithdrawn,
    Event,
    GatewayUp,
    LoadFailed,
    ReplicaReady,
    Tick,
    TurnArrived,
)
from cluster.core.ids import BootId, Cause, DeploymentId, GatewayId, LeaseId, ReplicaId
from cluster.core.machine import RouterMachine
from cluster.core.view import LoadingStatus, PoolView
from cluster.journal import Journal
from cluster.outbox import Outbox, Send
from cluster.ports import Delivery, GatewayPort, LoaderPort
from cluster.ticket import Ticket, seal, sign

log = logging.getLogger(__name__)

TICK_S = 0.25
DELIVER_S = 5.0
CONTROL_S = 2.0
LOADING_SILENT_S = 15.0
"""Who loads says so at least every five seconds."""


@dataclass(slots=True)
class Front:
    """A front as the shell needs it: how to sign for it, and the way to it."""

    boot: BootId
    secret: bytes
    outbox: Outbox[ToFront]


@dataclass(slots=True)
class Gateway:
    port: GatewayPort
    outbox: Outbox[Delivery]


@dataclass(slots=True)
class Loader:
    port: LoaderPort
    outbox: Outbox[ToLoader]


class Router:
    """Implements LoaderRouterPort over one RouterMachine.  Use as an async context manager."""

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
        self._loader: Loader | None = None
        self._loading: dict[str, tuple[float, LoadingStatus]] = {}
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
        if self._loader is not None:
            await self._loader.outbox.close()
        await self._http.close()
        if self._journal is not None:
            self._journal.close()

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int:
        known = self._gateways.get(gateway)
        if known is None or known.port is not port:
            outbox = Outbox(gateway, self._deliverer(port), DELIVER_S)
            self._gateways[gateway] = Gateway(port, outbox)
            if known is not None:
                await known.outbox.close()
        self._handle(GatewayUp(gateway, Cause(f"attach {gateway}")))
        return self._epoch

    async def detach(self, gateway: GatewayId) -> None:
        """Forgets the way to a gateway that is known to be gone."""
        known = self._gateways.pop(gateway, None)
        if known is not None:
            await known.outbox.close()

    async def attach_loader(self, port: LoaderPort) -> int:
        known = self._loader
        if known is None or known.port is not port:
            self._loader = Loader(port, Outbox("loader", self._carrier(port), DELIVER_S))
            if known is not None:
                await known.outbox.close()
        return self._epoch

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        known = self._fronts.get(event.replica)
        if known is None or known.boot != event.boot:
            # One at a time: a command that fails must not take others with it.
            control = self._controller(secret, event.endpoint)
            outbox = Outbox[ToFront](event.replica, control, CONTROL_S, batch=1)
            self._fronts[event.replica] = Front(event.boot, secret, outbox)
        self._loading.pop(event.replica, None)
        self._handle(event)
        if known is not None and known.boot != event.boot:
            await known.outbox.close()
        return self._epoch

    async def loading(self, status: LoadingStatus) -> int:
        self._loading[status.replica] = self._now(), status
        deployment, replica = DeploymentId(status.deployment), ReplicaId(status.replica)
        cause = Cause(f"loading {replica}")
        self._handle(DeploymentLoading(deployment, replica, status.stage, status.fraction, cause))
        return self._epoch

    async def post(self, events: Sequence[Event]) -> int:
        for event in events:
            if isinstance(event, TurnArrived) and event.gateway not in self._gateways:
                continue  # what became of it could not be told; it is told again once attached
            if isinstance(event, DeploymentWithdrawn | LoadFailed):
                self._end_loading(event.deployment)
            self._handle(event)
        return self._epoch

    def _end_loading(self, deployment: DeploymentId) -> None:
        for replica, (_, status) in list(self._loading.items()):
            if status.deployment == deployment:
                del self._loading[replica]

    async def view(self) -> PoolView:
        loading = tuple(status for _, status in self._loading.values())
        return replace(self._machine.view(self._now()), loading=loading)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._num_ticks += 1
            self._handle(Tick(Cause(f"tick {self._num_ticks}")))
            await self._forget_the_gone()
            if self._journal is not None:
                self._journal.flush()

    async def _forget_the_gone(self) -> None:
        now = self._now()
        for replica, (told_at, _) in list(self._loading.items()):
            if now - told_at > LOADING_SILENT_S:
                del self._loading[replica]
        for replica in [replica for replica in self._fronts if not self._machine.knows(replica)]:
            await self._fronts.pop(replica).outbox.close()

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
        if isinstance(command, ToLoader):
            if self._loader is not None:
                self._loader.outbox.put(command)
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

    def _carrier(self, port: LoaderPort) -> Send[ToLoader]:
        async def carry_out(batch: Sequence[ToLoader]) -> None:
            await port.carry_out(self._epoch, batch)

        return carry_out

    def _controller(self, secret: bytes, endpoint: str) -> Send[ToFront]:
        async def control(batch: Sequence[ToFront]) -> None:
            for command in batch:
                body = seal(secret, codec.encode(command))
                async with self._http.post(f"{endpoint}/control", data=body) as answer:
                    answer.raise_for_status()

        return control
