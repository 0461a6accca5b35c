"""A router that can be taken away and replaced, as its clients see it."""

from collections.abc import Sequence

from cluster.core.events import Event, ReplicaReady
from cluster.core.ids import GatewayId
from cluster.core.view import LoadingStatus, PoolView
from cluster.ports import GatewayPort, RouterAway, RouterPort


class Switch:
    """A RouterPort.  `router` None: none answers.  `events`: all that gateways and fronts have posted."""

    def __init__(self, router: RouterPort | None) -> None:
        self.router = router
        self.events: list[Event] = []

    def _there(self) -> RouterPort:
        if self.router is None:
            raise RouterAway("switched off")
        return self.router

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int:
        return await self._there().attach(gateway, port)

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        return await self._there().ready(event, secret)

    async def loading(self, status: LoadingStatus) -> int:
        return await self._there().loading(status)

    async def post(self, events: Sequence[Event]) -> int:
        epoch = await self._there().post(events)
        self.events += events
        return epoch

    async def view(self) -> PoolView:
        return await self._there().view()
