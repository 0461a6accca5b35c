"""The gateway as a named actor: Ray's calls in, one Gateway inside, on an event loop of its own.

The loop runs in a thread, so that the actor listens from its constructor on: Ray calls nothing else when it
restarts one, and a fault there, such as a port in use, is told to whoever started it.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

import ray
import uvloop

from cluster.config import GatewayConfig
from cluster.core.ids import GatewayId
from cluster.gateway.gateway import Gateway, GatewaySettings, PortTaken
from cluster.ports import Delivery
from cluster.raylink import RayRouter

START_S = 30.0
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

    def __init__(self, config: GatewayConfig) -> None:
        me = ray.get_runtime_context().current_actor
        gateway = GatewayId(f"gateway-{secrets.token_hex(4)}")
        self._gateway = Gateway(_Router(me), gateway, GatewaySettings.of(config))
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True).start()
        self._listen()

    def _listen(self) -> None:
        end = time.monotonic() + PORT_S
        while True:
            try:
                asyncio.run_coroutine_threadsafe(self._gateway.__aenter__(), self._loop).result(START_S)
                return
            except PortTaken:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.1)

    def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        asyncio.run_coroutine_threadsafe(self._gateway.deliver(epoch, deliveries), self._loop)
