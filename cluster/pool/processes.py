"""The processes of a pool: found by what they cannot shed, ended leaves first.

The supervisor leads a session of its own that nothing below it leaves, so whatever has this session id is
the pool's, also after the supervisor's death.  Ray's titles overwrite the environment that others see of
a process, so the marker there only finds what is left when no state file names the session.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

POOL_ENV = "HEARTH_POOL"
"""Marks every process of a pool with the pool's id."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP or UDP socket that takes in what is sent to it."""

    pid: int
    process: str
    host: str
    port: int


def find_supervisor(pid: int, created_s: float) -> psutil.Process | None:
    """The process of this pid, unless the pid has a new owner."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created_s) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def find_processes(pool_id: str, session: int | None, since_s: float = 0.0) -> list[psutil.Process]:
    """Every process of the pool, leaves first.  `session`: the supervisor's pid; processes made before
    `since_s` only share a number with it."""
    found = [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid()
        and (_in_session(process, session, since_s) or _is_marked(process, pool_id))
    ]
    return leaves_first(found)


def _in_session(process: psutil.Process, session: int | None, since_s: float) -> bool:
    try:
        return os.getsid(process.pid) == session and process.create_time() > since_s - 1.0 and _runs(process)
    except (OSError, psutil.Error):
        return False


def _is_marked(process: psutil.Process, pool_id: str) -> bool:
    try:
        return process.environ().get(POOL_ENV) == pool_id and _runs(process)
    except (OSError, psutil.Error):
        return False


def _runs(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE


def leaves_first(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """A process before its parent: nobody then restarts or adopts what is being ended."""
    parents = {process.pid: _parent(process) for process in processes}

    def depth(pid: int) -> int:
        return 1 + depth(parents[pid]) if pid in parents else 0

    return sorted(processes, key=lambda process: depth(process.pid), reverse=True)


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def end_processes(processes: Sequence[psutil.Process], grace_s: float) -> list[psutil.Process]:
    """Terminates them one by one in their order, kills what is left after `grace_s`.  Returns survivors."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _, alive = psutil.wait_procs(alive, timeout=5.0)
    return alive


def listeners(processes: Iterable[psutil.Process]) -> list[Listener]:
    """The sockets on which these processes can be reached."""
    return [found for process in processes for found in _listeners_of(process)]


def _listeners_of(process: psutil.Process) -> list[Listener]:
    try:
        name = (process.cmdline() or [process.name()])[0]
        sockets = process.net_connections(kind="inet")
    except psutil.Error:
        return []
    waiting = (s for s in sockets if s.laddr and s.status in (psutil.CONN_LISTEN, psutil.CONN_NONE))
    return [Listener(process.pid, name, s.laddr.ip, s.laddr.port) for s in waiting]


def is_loopback(host: str) -> bool:
    """Whether nobody beyond this machine can reach a socket bound to this address."""
    plain = host.removeprefix("::ffff:")
    return plain == "::1" or plain.startswith("127.")
