"""The node's agent: one a machine, telling the router what memory is free.

It is the node's word that counts: a router that starts anew learns of the node from the next report.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from itertools import count

import ray

from cluster.core.events import Event, NodeReport, NodeUp
from cluster.core.ids import Cause, NodeId
from cluster.core.layout import NodeFacts
from cluster.core.memory.usable import NodeMemory
from cluster.inventory.gpu import find_gpus
from cluster.inventory.node import node_memory
from cluster.inventory.offer import installed_engines
from cluster.pool.ray_head import NODE_LABEL, RESERVE_LABEL
from cluster.ports import RouterAway, RouterPort
from cluster.raylink import RayRouter

PERIOD_S = 1.0
log = logging.getLogger(__name__)


class NodeAgent:
    """Reports once every `period_s`, and says NodeUp to every router epoch that it meets."""

    def __init__(
        self,
        node: NodeId,
        router: RouterPort,
        measure: Callable[[], NodeMemory] = node_memory,
        period_s: float = PERIOD_S,
        facts: NodeFacts | None = None,
    ) -> None:
        self._node, self._router, self._facts = node, router, facts
        self._measure, self._period_s = measure, period_s
        self._epoch: int | None = None

    async def run(self) -> None:
        """Reports for ever."""
        for number in count(1):
            await self.report(Cause(f"{self._node}:{number}"))
            await asyncio.sleep(self._period_s)

    async def report(self, cause: Cause) -> None:
        """One report.  A router that is away hears of the node when it is back."""
        memory = self._measure()
        up = NodeUp(self._node, memory.most_bytes, cause, self._facts)
        now = NodeReport(self._node, memory.free_bytes, cause)
        try:
            epoch = await self._post(now) if self._epoch is not None else None
            if epoch is None or epoch != self._epoch:
                self._epoch = await self._post(up, now)
        except RouterAway:
            self._epoch = None
            log.debug("no router hears of node %s now", self._node)

    async def _post(self, *events: Event) -> int:
        return await self._router.post(events)


class NodeActor:
    """The agent as a Ray actor."""

    async def __init__(self, node: str) -> None:
        facts = await asyncio.to_thread(facts_of, NodeId(node))
        agent = NodeAgent(NodeId(node), RayRouter(), facts=facts)
        self._task = asyncio.create_task(agent.run(), name=f"agent of {node}")


def facts_of(node: NodeId) -> NodeFacts:
    """What this node offers.  Memory, cards and labels are those that Ray books, so that both agree."""
    told = next(each for each in ray.nodes() if each["Alive"] and each["Labels"].get(NODE_LABEL) == node)
    found, num_gpus = find_gpus(), int(told["Resources"].get("GPU", 0))
    return NodeFacts(
        models_bytes=int(told["Resources"].get("memory", 0)),
        address=ray.util.get_node_ip_address(),
        engines=installed_engines(),
        labels=dict(told["Labels"]),
        num_gpus=num_gpus,
        metal=found.apple is not None,
        num_cpus=os.cpu_count() or 1,
        reserve_bytes=_told_bytes(told["Labels"].get(RESERVE_LABEL, "")),
        chip=found.chip(num_gpus),
    )


def _told_bytes(label: str) -> int:
    """0 where a node was joined by hand, and is not told or told otherwise."""
    return int(label) if label.isdecimal() else 0
