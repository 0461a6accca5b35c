"""The router as a named actor: Ray's calls in, one Router inside.

Ray restarts it where its process dies; every start takes the next epoch, and the fronts and gateways tell
the new one what they have (see `cluster.ports`).
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from cluster.config import RouterConfig, home
from cluster.core.commands import ToLoader
from cluster.core.context import Limits
from cluster.core.events import DeploymentDeclared, Event, ReplicaReady
from cluster.core.ids import GatewayId
from cluster.core.machine import RouterMachine
from cluster.core.swap import POLICIES
from cluster.core.view import LoadingStatus, PoolView
from cluster.epoch import take_next
from cluster.journal import Journal
from cluster.ports import Delivery
from cluster.router import Router


class ActorGateway:
    """A gateway actor as the router's GatewayPort."""

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - Ray's actor handles have no static type
        self.handle = handle

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        await self.handle.deliver.remote(epoch, deliveries)


class ActorLoader:
    """The loader actor as the router's LoaderPort."""

    def __init__(self, handle: Any) -> None:  # noqa: ANN401
        self.handle = handle

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        await self.handle.carry_out.remote(epoch, list(commands))


class RouterActor:
    """Implements the calls of LoaderRouterPort; gateways and loader are given as their actor handles.

    `declared`: what shall run.  Turns for these models wait while they load, after a restart too.
    """

    async def __init__(self, config: RouterConfig, declared: Sequence[DeploymentDeclared]) -> None:
        limits = Limits(
            queue=config.queue_limit,
            queue_per_tenant=config.queue_limit_per_tenant,
            swap_wait_s=config.swap_wait_s,
        )
        epoch = await asyncio.to_thread(take_next, home() / "run" / "router.epoch")
        self._gateways: dict[GatewayId, ActorGateway] = {}
        self._loader: ActorLoader | None = None
        machine = RouterMachine(epoch, limits=limits, swapping=POLICIES[config.swap])
        self._router = Router(machine, epoch, Journal(home() / "journal", epoch))
        await self._router.__aenter__()  # for the life of this process
        await self._router.post(declared)

    async def attach(self, gateway: GatewayId, handle: Any) -> int:  # noqa: ANN401
        known = self._gateways.get(gateway)
        if known is None or known.handle._actor_id != handle._actor_id:
            known = self._gateways[gateway] = ActorGateway(handle)
            await self._detach_earlier(gateway, handle)
        return await self._router.attach(gateway, known)

    async def _detach_earlier(self, gateway: GatewayId, handle: Any) -> None:  # noqa: ANN401
        """An actor that was started again attaches under a new name: its old one is nobody's."""
        for name, other in list(self._gateways.items()):
            if name != gateway and other.handle._actor_id == handle._actor_id:
                del self._gateways[name]
                await self._router.detach(name)

    async def attach_loader(self, handle: Any) -> int:  # noqa: ANN401
        if self._loader is None or self._loader.handle._actor_id != handle._actor_id:
            self._loader = ActorLoader(handle)
        return await self._router.attach_loader(self._loader)

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        return await self._router.ready(event, secret)

    async def loading(self, status: LoadingStatus) -> int:
        return await self._router.loading(status)

    async def post(self, events: Sequence[Event]) -> int:
        return await self._router.post(events)

    async def view(self) -> PoolView:
        return await self._router.view()
