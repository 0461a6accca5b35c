"""What the table of processes tells about labs, so that no file has to be kept about them."""

import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

INIT = Path(__file__).with_name("init.py")
GONE_S = 10.0


@dataclass(frozen=True)
class Found:
    """A process 1 as it is seen from here.  `words`: its arguments after the program."""

    pid: int
    words: tuple[str, ...]


def inits(kind: str) -> list[Found]:
    """The processes 1 of all labs (`lab`) or hosts (`host`) on this machine, oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        argv = _argv(folder) if folder.name.isdecimal() else ()
        # `unshare` and `nsenter` have the same words further back.
        if len(argv) > 3 and argv[2:4] == (str(INIT), kind):
            found.append(Found(int(folder.name), argv[4:]))
    return sorted(found, key=lambda each: each.pid)


def _argv(folder: Path) -> tuple[str, ...]:
    try:
        return tuple((folder / "cmdline").read_text().split("\0")[:-1])
    except (OSError, UnicodeDecodeError):
        return ()


def child_of(pid: int, timeout_s: float = 10.0) -> int:
    """The first child of `pid`, as soon as there is one.  Raises ProcessLookupError where it ends before."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        children = _children(pid)
        if children:
            return children[0]
        time.sleep(0.002)
    raise ProcessLookupError(f"process {pid} has no child")


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} has ended") from None


def namespace(pid: int, kind: str) -> int:
    """The number of its namespace of this kind: `net`, `pid`, `mnt`, ..."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def members(kind: str, number: int) -> list[int]:
    """The processes in a namespace; of a PID namespace without those in namespaces within it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                is_member = namespace(int(folder.name), kind) == number
            except OSError:
                continue
            if is_member:
                found.append(int(folder.name))
    return found


def kill(pid: int) -> None:
    """Kills it and waits until it has gone.  A process 1 takes all of its namespace along."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _await_end(handle)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _await_end(handle: int) -> None:
    if not select.select([handle], [], [], GONE_S)[0]:
        raise TimeoutError("a killed process is still there")
