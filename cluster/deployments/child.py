"""Child processes of a replica: they never outlive it, and their last words are kept.

The child stays in the replica's process group (Ray ends the group with the replica) and asks, with
`follow_parent`, to die with its parent even where nobody is left to end the group.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence

PARENT_ENV = "HEARTH_PARENT_PID"
"""Tells the child whom to follow."""

MAX_LINE_BYTES = 4096
LAST_WORDS_S = 1.0
REST_S = 8.0
"""How long a stop waits for what the child has started itself: it may hold memory, and the child's output."""

LAST_WORDS_S = 1.0
REST_S = 8.0
"""How long a stop waits for what the child has started itself: it may hold memory, and the child's output."""

_PR_SET_PDEATHSIG = 1


def follow_parent(poll_s: float = 1.0) -> None:
    """Makes this process die with the one that spawned it.  A child calls it first of all.

    Linux sends the signal by itself.  Elsewhere a thread looks every `poll_s` seconds for its parent; it
    waits while something holds the GIL.
    """
    parent = os.environ.get(PARENT_ENV)
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_poll_parent, args=(int(parent), poll_s), daemon=True).start()
    _die_if_orphaned(int(parent))  # the parent may have died before the line above


def _poll_parent(parent: int, poll_s: float) -> None:
    while True:
        _die_if_orphaned(parent)
        time.sleep(poll_s)


def _die_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


class Child:
    """A running child process.  Made by `spawn`."""

    def __init__(self, process: Process, keep_lines: int, on_line: Callable[[str], None] | None) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=keep_lines)
        self._on_line = on_line
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    @property
    def tail(self) -> str:
        """Its last lines on stdout and stderr."""
        return "\n".join(self._lines)

    async def wait(self) -> int:
        """Returns its exit status once it has ended and its output is read."""
        status = await self._process.wait()
        # A grandchild may hold the pipe open for ever.
        await asyncio.wait({self._reader}, timeout=LAST_WORDS_S)
        return status

    async def stop(self, grace_s: float = 5.0) -> int:
        """Terminates it, kills it after `grace_s`; may be called twice.  Returns the exit status once what it
        has started itself is gone as well, or after REST_S.
        """
        if self.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
            except asyncio.CancelledError:
                self._signal(signal.SIGKILL)
                raise
        status = await self._process.wait()
        await asyncio.wait({self._reader}, timeout=REST_S)
        self._reader.cancel()
        return status

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            rest = rest[-MAX_LINE_BYTES:]
        if rest:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        text = line[:MAX_LINE_BYTES].decode(errors="replace").rstrip()
        self._lines.append(text)
        if self._on_line is not None:
            self._on_line(text)


async def spawn(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    keep_lines: int = 50,
    on_line: Callable[[str], None] | None = None,
) -> Child:
    """Starts `argv` with `env` added to this process's environment.

    stdout and stderr are read as they come; the last `keep_lines` lines are kept and each is handed to
    `on_line`.  Raises OSError where the program cannot be started.
    """
    full_env = {**os.environ, **(env or {}), PARENT_ENV: str(os.getpid())}
    process = await asyncio.create_subprocess_exec(
        *argv, env=full_env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    return Child(process, keep_lines, on_line)
