"""The ground that a replica stands on: one host for each shard of its layout, kept over all its boots."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import ray

from cluster.core.layout import Layout
from cluster.deployments.gang import Host, LocalHost
from cluster.deployments.ranks import RayHost, open_host


class Ground(Protocol):
    """What boots need to know of hosts."""

    async def open(self) -> None:
        """Reaches all hosts; those reached already stay.  Raises ConnectionError."""
        ...

    @property
    def lost(self) -> str:
        """Which host is lost, and how; empty while all are there.  A lost one never comes back."""
        ...

    async def tail(self) -> str:
        """The last lines of the ranks that run or ran last, of all hosts."""
        ...

    async def clear(self) -> None:
        """Stops whatever still runs there; returns when it is gone, or its host is."""
        ...


class LayoutGround:
    """The hosts of a layout.  Shard 0 is this process's own node, the others are reached over Ray."""

    def __init__(self, layout: Layout, address: str) -> None:
        self._layout = layout
        self._own = LocalHost(address)
        self._others: list[RayHost] = []

    @property
    def hosts(self) -> Sequence[Host]:
        """One for each rank, rank 0 first."""
        each = (self._own, *self._others)
        pairs = zip(each, self._layout.shards, strict=True)
        return tuple(host for host, shard in pairs for _ in range(shard.num_ranks))

    async def open(self) -> None:
        missing = list(enumerate(self._layout.shards))[1 + len(self._others) :]
        if not missing:
            return
        group = ray.util.get_current_placement_group()
        assert group is not None, "a gang over several nodes runs in a placement group"
        for bundle, shard in missing:
            self._others.append(await open_host(group, bundle, shard))

    @property
    def lost(self) -> str:
        return next((f"node {host.node}: {host.lost}" for host in self._others if host.lost), "")

    async def tail(self) -> str:
        named = zip(self._layout.nodes, [self._own, *self._others], strict=False)
        tails = [(node, await host.tail()) for node, host in named]
        if len(tails) == 1:
            return tails[0][1]
        return "\n".join(f"[{node}]\n{tail}" for node, tail in tails if tail)

    async def clear(self) -> None:
        await asyncio.gather(*(host.close() for host in (self._own, *self._others)))

    def end(self) -> None:
        for host in self._others:
            host.end()
