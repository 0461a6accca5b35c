"""A router that only listens, for tests of what talks to one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from cluster.core.events import Event, ReplicaReady, ReplicaReport
from cluster.core.ids import GatewayId
from cluster.core.view import Counters, LoadingStatus, PoolView
from cluster.ports import GatewayPort, LoaderPort, RouterAway

Kind = TypeVar("Kind")


class ListeningRouter:
    """Implements RouterPort.  `is_away`: it cannot be reached.  `epoch`: what it answers with."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch, self.is_away = epoch, False
        self.events: list[Event] = []
        self.secrets: list[bytes] = []
        self.loadings: list[LoadingStatus] = []
        self.loader: LoaderPort | None = None
        self._news = asyncio.Condition()

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int:
        return self.epoch

    async def attach_loader(self, port: LoaderPort) -> int:
        if self.is_away:
            raise RouterAway("told to be away")
        self.loader = port
        return self.epoch

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        self.secrets.append(secret)
        return await self.post([event])

    async def post(self, events: Sequence[Event]) -> int:
        if self.is_away:
            raise RouterAway("told to be away")
        async with self._news:
            self.events += events
            self._news.notify_all()
        return self.epoch

    async def loading(self, status: LoadingStatus) -> int:
        async with self._news:
            self.loadings.append(status)
            self._news.notify_all()
        return self.epoch

    async def view(self) -> PoolView:
        return PoolView(self.epoch, (), (), (), (), (), Counters())

    def told(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    async def hear(
        self, kind: type[Kind], such: Callable[[Kind], bool] = lambda _: True, num: int = 1
    ) -> Kind:
        """Waits for the `num`-th event of a kind, and returns it."""

        def heard() -> list[Kind]:
            return [event for event in self.told(kind) if such(event)]

        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: len(heard()) >= num)
        return heard()[num - 1]

    async def hear_loading(self) -> LoadingStatus:
        """Waits for the first word about a start."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.loadings)
        return self.loadings[0]

    async def next_report(self) -> ReplicaReport:
        """A report that was made after this call."""
        return await self.hear(ReplicaReport, num=len(self.told(ReplicaReport)) + 1)
