"""A router that can be taken away and replaced, as its clients see it."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from cluster.core.events import Event, ReplicaReady
from cluster.core.ids import GatewayId
from cluster.core.view import LoadingStatus, PoolView
from cluster.ports import GatewayPort, RouterAway, RouterPort

Kind = TypeVar("Kind")


class Switch:
    """A RouterPort.  `router` None: none answers.  `events`: all that gateways and fronts have posted."""

    def __init__(self, router: RouterPort | None) -> None:
        self.router = router
        self.events: list[Event] = []
        self._news = asyncio.Condition()

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
        async with self._news:
            self.events += events
            self._news.notify_all()
        return epoch

    def told(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    async def hear(self, kind: type[Kind], num: int = 1, within_s: float = 10.0) -> Kind:
        """Waits for the `num`-th event of a kind."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.told(kind)) >= num)
        return self.told(kind)[num - 1]

    async def view(self) -> PoolView:
        return await self._there().view()
