"""A gateway: the edge of the pool on one node."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cluster.config import GRPC_PORT, HTTP_PORT, GatewayConfig
from cluster.core.ids import GatewayId
from cluster.gateway.fronts import Fronts, FrontTimes
from cluster.gateway.http import app
from cluster.gateway.http.context import CONSOLE, HttpContext
from cluster.gateway.link import LinkTimes, RouterLink
from cluster.gateway.rpc import server as rpc
from cluster.gateway.turns import TurnLimits, Turns
from cluster.metrics import GatewayCounters
from cluster.ports import Delivery, RouterPort


class PortTaken(OSError):
    """Somebody else listens where the gateway wants to."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(host, port, setting)
        self.host, self.port, self.setting = host, port, setting

    def __str__(self) -> str:
        return (
            f"Port {self.port} on {self.host} is in use. Stop what listens there, or choose another port "
            f"with `gateway.{self.setting}` in hearth.yaml."
        )


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Port 0 takes a free one."""

    host: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    grpc_port: int = GRPC_PORT
    max_body_bytes: int = 16 * 1024 * 1024
    turns: TurnLimits = field(default_factory=TurnLimits)
    fronts: FrontTimes = field(default_factory=FrontTimes)
    link: LinkTimes = field(default_factory=LinkTimes)
    console: Path = CONSOLE

    @classmethod
    def of(cls, config: GatewayConfig) -> Self:
        return cls(
            host=config.host,
            http_port=config.http_port,
            grpc_port=config.grpc_port,
            max_body_bytes=config.max_body_bytes,
            turns=TurnLimits(patience_s=config.patience_s),
        )


class Gateway:
    """A GatewayPort.  Use as an async context manager: inside it the gateway listens."""

    def __init__(self, router: RouterPort, gateway: GatewayId, settings: GatewaySettings) -> None:
        self._router, self._gateway, self._settings = router, gateway, settings
        self._open = AsyncExitStack()
        self.http_port = self.grpc_port = 0

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        await self._link.deliver(epoch, deliveries)

    async def __aenter__(self) -> Self:
        """Raises PortTaken."""
        settings = self._settings
        self._link = RouterLink(self._router, self._gateway, settings.link)
        fronts = Fronts(settings.fronts)
        turns = Turns(self._link, fronts, GatewayCounters(), settings.turns)
        async with self._open as opening:
            opening.push_async_callback(fronts.close)
            opening.push_async_callback(_end, asyncio.create_task(self._link.run(), name="router link"))
            opening.push_async_callback(turns.close)
            await self._listen(turns, opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _listen(self, turns: Turns, opening: AsyncExitStack) -> None:
        settings = self._settings
        context = HttpContext(turns, settings.max_body_bytes, console=settings.console)
        try:
            runner, self.http_port = await app.serve(context, settings.host, settings.http_port)
        except OSError as fault:
            raise PortTaken(settings.host, settings.http_port, "http_port") from fault
        opening.push_async_callback(runner.cleanup)
        try:
            server, self.grpc_port = await rpc.serve(
                turns, settings.host, settings.grpc_port, settings.max_body_bytes
            )
        except OSError as fault:
            raise PortTaken(settings.host, settings.grpc_port, "grpc_port") from fault
        opening.push_async_callback(rpc.stop, server)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
