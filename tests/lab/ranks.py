"""Ranks of a gang on hosts of a lab, without Ray: what `ranks.RayHost` is to a pool."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from cluster.deployments.child import PARENT_ENV, Child, spawn
from cluster.deployments.gang import RankCommand
from tests.lab.hosts import Host
from tests.lab.processes import child_of


class LabRank:
    """`pid`: its number on this machine."""

    def __init__(self, child: Child, pid: int) -> None:
        self._child, self.pid = child, pid

    async def wait(self) -> int:
        return await self._child.wait()

    async def tail(self) -> str:
        return self._child.tail

    async def stop(self, grace_s: float = 5.0) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                if self._child.returncode is None:
                    os.kill(self.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._child.wait()
                    return


MARK = "HEARTH_LAB_GANG"
"""A variable that tells whose a process is."""


class LabHost:
    """Implements `gang.Host` on a host of a lab."""

    def __init__(self, host: Host) -> None:
        self.host, self.address = host, host.address
        self.ranks: list[LabRank] = []
        self._mark = f"{MARK}={secrets.token_hex(8)}"
        self._folders: list[Path] = []

    def pids(self) -> list[int]:
        """The processes of its ranks, and whatever they have started."""
        return [pid for pid in self.host.pids() if self._mark.encode() in _environment(pid)]

    async def free_ports(self, num: int) -> tuple[int, ...]:
        with self.host.network(), ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(num)]
            for each in sockets:
                each.bind((self.address, 0))
            return tuple(each.getsockname()[1] for each in sockets)

    async def write(self, files: Mapping[str, bytes]) -> str:
        folder = Path(tempfile.mkdtemp(prefix="hearth-rank-", dir=self.host.path("/tmp")))
        self._folders.append(folder)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return f"/tmp/{folder.name}"

    async def start(self, command: RankCommand) -> LabRank:
        # To a process whose parent is in no namespace of its own, that parent has the number 0.
        name, _, mark = self._mark.partition("=")
        argv = self.host.argv(*command.argv, env={**command.env, PARENT_ENV: "0", name: mark})
        child = await spawn(argv)
        rank = LabRank(child, await asyncio.to_thread(child_of, child.pid))
        self.ranks.append(rank)
        return rank

    async def tail(self) -> str:
        return await self.ranks[-1].tail() if self.ranks else ""

    async def close(self) -> None:
        await asyncio.gather(*(rank.stop() for rank in self.ranks))
        self.ranks.clear()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()


def _environment(pid: int) -> Sequence[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ()
