"""Ranks on other nodes: a host that is an actor there, in a bundle of the replica's placement group.

    RayHost (here)  ── calls ──>  RankActor (there)  ── child processes ──>  ranks

The actor dies with the replica that made it, and its ranks with the actor.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.core.layout import Shard
from cluster.deployments.gang import LocalHost, LocalRank, RankCommand

OPEN_S = 90.0
BEAT_S = 1.0
SILENT_S = 10.0
"""A host that is cut off says nothing more; one whose actor died is known to be lost at once."""


class RankActor:
    """A LocalHost on the node where it runs; its ranks have numbers there."""

    def __init__(self) -> None:
        self._host = LocalHost(ray.util.get_node_ip_address())
        self._ranks: dict[int, LocalRank] = {}

    async def address(self) -> str:
        return self._host.address

    async def beat(self) -> dict[int, str]:
        """The last lines of each rank, by number."""
        return {number: await rank.tail() for number, rank in self._ranks.items()}

    async def free_ports(self, num: int) -> tuple[int, ...]:
        return await self._host.free_ports(num)

    async def write(self, files: Mapping[str, bytes]) -> str:
        return await self._host.write(files)

    async def start(self, number: int, command: RankCommand) -> None:
        self._ranks[number] = await self._host.start(command)

    async def wait(self, number: int) -> tuple[int, str]:
        """Exit status and last lines, once it has ended."""
        rank = self._ranks[number]
        return await rank.wait(), await rank.tail()

    async def stop(self, number: int, grace_s: float) -> None:
        await self._ranks[number].stop(grace_s)

    async def close(self) -> None:
        await self._host.close()
        self._ranks.clear()


class RayRank:
    """A rank of a RayHost."""

    def __init__(self, host: "RayHost", number: int) -> None:
        self._host, self._number = host, number

    async def wait(self) -> int:
        status, self._host.tails[self._number] = await self._host.call("wait", self._number)
        return status

    async def tail(self) -> str:
        return self._host.tails.get(self._number, "")

    async def stop(self, grace_s: float = 5.0) -> None:
        with contextlib.suppress(ConnectionError):
            await self._host.call("stop", self._number, grace_s)


class RayHost:
    """`lost`: why its actor answers no more, empty while it does.  `tails`: last lines by rank, as far as
    they are known here.  Every call raises ConnectionError once it is lost."""

    def __init__(self, actor: Any, node: str) -> None:  # noqa: ANN401 - Ray's handles have no static type
        self.address, self.lost = "", ""  # the address is known once it is open
        self.tails: dict[int, str] = {}
        self._actor, self.node = actor, node
        self._is_lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beating: asyncio.Task[None] | None = None
        self._num_ranks = 0

    async def open(self) -> None:
        """Waits for the actor.  Raises ConnectionError."""
        try:
            async with asyncio.timeout(OPEN_S):
                self.address = await self.call("address")
        except TimeoutError as fault:
            raise ConnectionError(f"no process started on node {self.node} in {OPEN_S:.0f} s") from fault
        self._beating = asyncio.create_task(self._beat(), name=f"beat of {self.node}")

    async def free_ports(self, num: int) -> tuple[int, ...]:
        return await self.call("free_ports", num)

    async def write(self, files: Mapping[str, bytes]) -> str:
        return await self.call("write", dict(files))

    async def start(self, command: RankCommand) -> RayRank:
        self._num_ranks += 1
        await self.call("start", self._num_ranks, command)
        return RayRank(self, self._num_ranks)

    async def tail(self) -> str:
        """The last lines of its newest rank."""
        with contextlib.suppress(ConnectionError):
            self.tails |= await self.call("beat")
        return self.tails.get(self._num_ranks, "")

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.call("close")
        self.tails.clear()

    def end(self) -> None:
        """Ends the actor, and with it whatever runs there."""
        if self._beating is not None:
            self._beating.cancel()
        ray.kill(self._actor)

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        """A call of the actor, as long as it lives."""
        if self.lost:
            raise ConnectionError(self.lost)
        asked = asyncio.ensure_future(_answer(getattr(self._actor, method).remote(*args)))
        try:
            await asyncio.wait({asked, self._is_lost}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ConnectionError(self.lost)
            return asked.result()
        except RayActorError as fault:
            self._lose(f"its process on node {self.node} is gone")
            raise ConnectionError(self.lost) from fault
        finally:
            asked.cancel()

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(BEAT_S)
                try:
                    async with asyncio.timeout(SILENT_S):
                        self.tails |= await self.call("beat")
                except TimeoutError:
                    self._lose(f"node {self.node} has said nothing for {SILENT_S:.0f} s")

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = reason
            self._is_lost.set_result(None)


async def _answer(reference: Any) -> Any:  # noqa: ANN401
    return await reference


async def open_host(group: PlacementGroup, bundle: int, shard: Shard) -> RayHost:
    """A host in a bundle of the replica's own placement group.  Raises ConnectionError."""
    options: dict[str, Any] = {
        "num_cpus": 0,
        "num_gpus": shard.num_gpus,
        "memory": shard.memory_bytes,
        "scheduling_strategy": PlacementGroupSchedulingStrategy(group, bundle),
    }
    host = RayHost(ray.remote(RankActor).options(**options).remote(), shard.node)
    try:
        await host.open()
    except BaseException:
        host.end()
        raise
    return host
