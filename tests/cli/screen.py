"""A command on a terminal of its own, as a person has it before them."""

import asyncio
import os
import pty
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tests.cli.hearth import Hearth

WAIT_S = 30.0


class Screen:
    """What the terminal has shown; `status` once the command has ended."""

    def __init__(self, process: "subprocess.Popen[str]", terminal: int) -> None:
        self._process, self._terminal = process, terminal
        self._shown = ""

    @property
    def status(self) -> int | None:
        return self._process.returncode

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    async def until(self, words: str) -> str:
        """Reads on until it has shown `words`; what it showed before and after is forgotten."""
        async with asyncio.timeout(WAIT_S):
            while words not in self._shown:
                more = await asyncio.to_thread(self._read)
                assert more, f"it ended without showing {words!r}: {self._shown}"
                self._shown += more
        before, _, self._shown = self._shown.partition(words)
        return before

    async def end(self) -> str:
        """Reads until the command has ended; returns what was not read before."""
        async with asyncio.timeout(WAIT_S):
            while more := await asyncio.to_thread(self._read):
                self._shown += more
            await asyncio.to_thread(self._process.wait, WAIT_S)
        return self._shown

    async def interrupt(self) -> str:
        self.type("\x03")
        return await self.end()

    def _read(self) -> str:
        try:
            return os.read(self._terminal, 4096).decode(errors="replace")
        except OSError:  # how Linux says that nobody has the other end open
            return ""


@contextmanager
def terminal(hearth: Hearth, *args: str) -> Generator[Screen]:
    """The command in a terminal of its own, in which Ctrl-C is a key."""
    own, inner = pty.openpty()
    process = hearth.popen(*args, terminal=inner)
    os.close(inner)
    try:
        yield Screen(process, own)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT_S)
        os.close(own)
