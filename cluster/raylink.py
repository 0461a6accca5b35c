"""The named router actor as a RouterPort, for whoever runs in another process of the pool."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.core.events import Event, ReplicaReady
from cluster.core.ids import GatewayId
from cluster.core.view import LoadingStatus, PoolView
from cluster.ports import RouterAway

log = logging.getLogger(__name__)


class RayRouter:
    """Looks the actor up when it is first needed, and again after a call that failed.

    Every fault is RouterAway: it tells nothing about whether the call was carried out.
    """

    def __init__(self, name: str = "router", namespace: str = "hearth", timeout_s: float = 5.0) -> None:
        self._name, self._namespace, self._timeout_s = name, namespace, timeout_s
        self._actor: Any = None

    async def attach(self, gateway: GatewayId, port: Any) -> int:  # noqa: ANN401
        """`port` is the gateway's own actor handle."""
        return await self._call("attach", gateway, port)

    async def attach_loader(self, port: Any) -> int:  # noqa: ANN401
        """`port` is the loader's own actor handle."""
        return await self._call("attach_loader", port)

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        return await self._call("ready", event, secret)

    async def loading(self, status: LoadingStatus) -> int:
        return await self._call("loading", status)

    async def post(self, events: Sequence[Event]) -> int:
        return await self._call("post", list(events))

    async def view(self) -> PoolView:
        return await self._call("view")

    async def _call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._actor is None:
                    # The look-up blocks on Ray's control service.
                    self._actor = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
                return await getattr(self._actor, method).remote(*args)
        except (RayError, ValueError, TimeoutError) as fault:
            self._actor = None
            log.debug("router call %s failed: %r", method, fault)
            raise RouterAway(f"the router did not answer `{method}`: {type(fault).__name__}") from fault
