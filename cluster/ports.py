"""How router, gateways and fronts reach each other, whatever carries the calls.

Inside a pool Ray actors implement these; inside one process (tests, a bench) plain objects do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.core.commands import ToGateway, ToLoader
from cluster.core.events import Event, ReplicaReady
from cluster.core.ids import GatewayId
from cluster.core.view import LoadingStatus, PoolView


@dataclass(frozen=True, slots=True)
class Delivery:
    """A command for a gateway.  `ticket` is what the front wants to see for Place and Measure."""

    command: ToGateway
    ticket: str = ""


class GatewayPort(Protocol):
    """Where the router sends a gateway's commands."""

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        """Takes commands in, in order.  Those of an epoch older than the newest seen are dropped."""
        ...


class LoaderPort(Protocol):
    """Where the router sends Load and Unload."""

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        """Takes commands in, in order, and returns before they are done; what was done is reported.

        One that is done or under way already changes nothing.  Those of an epoch older than the newest seen
        are dropped.
        """
        ...


class RouterPort(Protocol):
    """The router, as gateways and fronts see it.  Every call answers with the router's epoch.

    Whoever sees the epoch change tells the new router what it has: a front calls `ready` with its
    leases, a gateway calls `attach` and posts its waiting turns again.  A call that cannot be
    delivered raises RouterAway; the caller keeps what it wanted to say and tries again.
    """

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int: ...

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        """A front is there.  `secret` signs its tickets and is kept out of journal and logs."""
        ...

    async def loading(self, status: LoadingStatus) -> int:
        """How far a replica's start has come, for people; the next `ready` ends it."""
        ...

    async def post(self, events: Sequence[Event]) -> int:
        """Facts, in order."""
        ...

    async def view(self) -> PoolView: ...


class LoaderRouterPort(RouterPort, Protocol):
    """The router, as the loader sees it."""

    async def attach_loader(self, port: LoaderPort) -> int:
        """The one loader of the pool is there; its LoaderReport follows by `post`."""
        ...


class RouterAway(ConnectionError):
    """No router answers now; a new one will."""
