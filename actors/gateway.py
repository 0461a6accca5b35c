"""The gateway as a named actor: Ray's calls in, one Gateway inside, both on one event loop.

It listens from its constructor on: Ray calls nothing else when it restarts an actor, and a fault there, such
as a port in use, is told to whoever started it.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

import ray

from cluster.config import GatewayConfig
from cluster.core.ids import GatewayId
from cluster.gateway.gateway import Gateway, GatewaySettings, PortTaken
from cluster.ports import Delivery
from cluster.raylink import RayRouter

PORT_S = 2.0
"""After a crash the ports may be taken for a moment longer than the process lived."""


class _Router(RayRouter):
    """Attaches with the actor's handle: the gateway itself cannot leave its process."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - Ray's actor handles have no static type
        super().__init__()
        self._me = actor

    async def attach(self, gateway: GatewayId, port: object) -> int:
        return await super().attach(gateway, self._me)


class GatewayActor:
    """Each start is a gateway with a name of its own: the turns of an earlier one are nobody's.

    Raises PortTaken.
    """

    async def __init__(self, config: GatewayConfig) -> None:
        me = ray.get_runtime_context().current_actor
        gateway = GatewayId(f"gateway-{secrets.token_hex(4)}")
        self._gateway = Gateway(_Router(me), gateway, GatewaySettings.of(config))
        await self._listen()

    async def _listen(self) -> None:
        end = time.monotonic() + PORT_S
        while True:
            try:
                await self._gateway.__aenter__()  # for the life of this process
                return
            except PortTaken:
                if time.monotonic() >= end:
                    raise
                await asyncio.sleep(0.1)

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        await self._gateway.deliver(epoch, deliveries)
