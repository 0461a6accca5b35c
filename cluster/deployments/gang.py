"""A gang: the ranks of one engine, each a child process on some host, which live or die together.

    async with asyncio.timeout(...):
        await gang.start(commands)        one command a rank, rank 0 first
    reason = await gang.died()            the first rank to end ends all of them
    await gang.stop()

A host is where ranks run: this process's own node (`LocalHost`), or another one reached over Ray
(`ranks.RayHost`).
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cluster.deployments import folders
from cluster.deployments.child import Child, spawn

STOP_S = 15.0
"""A host that does not answer within this is as gone as its rank."""


@dataclass(frozen=True, slots=True)
class RankCommand:
    """What one rank runs.  `env` is added to its host's environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])


class RankProcess(Protocol):
    """One running rank."""

    async def wait(self) -> int:
        """Returns its exit status when it has ended; negative: by a signal.

        Raises ConnectionError where its host is gone.
        """
        ...

    async def tail(self) -> str:
        """Its last lines; those that are known where its host is gone."""
        ...

    async def stop(self, grace_s: float = 5.0) -> None:
        """Terminates, then kills; returns when it is gone, or its host is.  May be called twice."""
        ...


class Host(Protocol):
    """A place for ranks.  `address`: where the other hosts' ranks reach its own, never a name."""

    address: str

    async def free_ports(self, num: int) -> tuple[int, ...]:
        """Ports of `address` that were free a moment ago."""
        ...

    async def write(self, files: Mapping[str, bytes]) -> str:
        """Puts small files (`name` to content) into a new private folder of this host; its path."""
        ...

    async def start(self, command: RankCommand) -> RankProcess: ...

    async def tail(self) -> str:
        """The last lines of the rank it started last, also when that has ended."""
        ...

    async def close(self) -> None:
        """Stops its ranks, removes its folders."""
        ...


class LocalRank:
    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def pid(self) -> int:
        return self._child.pid

    async def wait(self) -> int:
        return await self._child.wait()

    async def tail(self) -> str:
        return self._child.tail

    async def stop(self, grace_s: float = 5.0) -> None:
        await self._child.stop(grace_s)


class LocalHost:
    """Ranks as children of this process."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.ranks: list[LocalRank] = []
        self._folders: list[Path] = []
        self._starting = asyncio.Lock()

    async def free_ports(self, num: int) -> tuple[int, ...]:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(num)]
            for each in sockets:
                each.bind((self.address, 0))
            return tuple(each.getsockname()[1] for each in sockets)

    async def write(self, files: Mapping[str, bytes]) -> str:
        folder = folders.new()
        self._folders.append(folder)
        await asyncio.to_thread(_write, folder, files)
        return str(folder)

    async def start(self, command: RankCommand) -> LocalRank:
        async with self._starting:
            rank = LocalRank(await spawn(command.argv, command.env))
            self.ranks.append(rank)
            return rank

    async def tail(self) -> str:
        return await self.ranks[-1].tail() if self.ranks else ""

    async def close(self) -> None:
        # Whoever asked for a rank from another node may have gone away before it was started.
        async with self._starting:
            await asyncio.gather(*(rank.stop() for rank in self.ranks))
            self.ranks.clear()
            for folder in self._folders:
                await asyncio.to_thread(folders.remove, folder)
            self._folders.clear()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


class Gang:
    """Ranks on `hosts`, one command each; `hosts[i]` runs rank i, and a host may be named several times."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self._ranks: list[RankProcess] = []
        self._died: asyncio.Future[str] | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def start(self, commands: Sequence[RankCommand]) -> None:
        """Starts every rank.  Raises OSError where one cannot even be started; then call `stop`."""
        assert len(commands) == len(self.hosts)
        self._died = asyncio.get_running_loop().create_future()
        for number, (host, command) in enumerate(zip(self.hosts, commands, strict=True)):
            rank = await host.start(command)
            self._ranks.append(rank)
            self._watching.append(asyncio.create_task(self._watch(number, rank)))

    async def _watch(self, number: int, rank: RankProcess) -> None:
        reason = await _how_it_ended(rank)
        assert self._died is not None
        if not self._died.done():
            name = "the engine" if len(self._ranks) == 1 else f"rank {number} of {len(self.hosts)}"
            self._died.set_result(f"{name} {reason}")
            # A rank that waits for the lost one would take requests and never answer them.
            await asyncio.gather(*(_stopped(other) for other in self._ranks if other is not rank))

    async def died(self) -> str:
        """Which rank ended first, how, and its last lines; waits as long as all of them live."""
        assert self._died is not None, "a gang that was not started cannot die"
        return await asyncio.shield(self._died)

    @property
    def has_died(self) -> bool:
        return self._died is not None and self._died.done()

    async def stop(self) -> None:
        """Stops all ranks at once.  May be called in any state, and twice."""
        for watching in self._watching:
            watching.cancel()
        await asyncio.gather(
            *(_stopped(rank) for rank in self._ranks), *self._watching, return_exceptions=True
        )
        self._ranks.clear()
        self._watching.clear()
        if self._died is not None and not self._died.done():
            self._died.set_result("the engine was stopped")


async def _stopped(rank: RankProcess) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await rank.stop()


async def _how_it_ended(rank: RankProcess) -> str:
    try:
        status = await rank.wait()
    except ConnectionError as fault:
        return f"is lost: {fault}"
    ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    tail = await rank.tail()
    return f"{ended}. Its last lines:\n{tail}" if tail else f"{ended}."
