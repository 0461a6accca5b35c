"""The frames of one turn on their way from the engine's pace to the client's.

A frame costs every process on its way about the same, whatever it holds.  So tokens that come faster than
one frame in `pace` travel together; the first one and the last one never wait.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from cluster.wire import Frame, Tokens, encode_frame

_TOKEN_BYTES = 16
"""About what a token takes beside its text."""


class Pipe:
    """Bounded bytes with one reader.  `pace`: seconds between two frames, as it is now.  `is_broken`: it
    stopped without its last frame."""

    def __init__(self, max_bytes: int, pace: Callable[[], float]) -> None:
        self.is_broken = False
        self._max_bytes, self._pace = max_bytes, pace
        self._pending = bytearray()
        self._tokens: list[Tokens] = []
        self._num_token_bytes = 0
        self._done = asyncio.Event()
        self._news = asyncio.Event()

    def send(self, frame: Frame) -> bool:
        """False where the reader lags too far behind: the frame is lost, and so is the stream."""
        data = b"" if isinstance(frame, Tokens) else encode_frame(frame)
        size = len(data) or _size(frame)
        lag = len(self._pending) + self._num_token_bytes
        # One frame may be larger than the bound; a lag may not.
        if lag and lag + size > self._max_bytes:
            self.break_off()
            return False
        if isinstance(frame, Tokens):
            self._join(frame)
            self._num_token_bytes += size
        else:
            self._encode_tokens()
            self._pending += data
        self._news.set()
        return True

    def _join(self, frame: Tokens) -> None:
        """Each frame holds the ids of exactly its text: ids whose text is yet to come begin a new one."""
        if self._tokens and frame.text:
            last = self._tokens.pop()
            frame = Tokens(last.ids + frame.ids, last.text + frame.text)
        self._tokens.append(frame)

    def _encode_tokens(self) -> bool:
        """Whether there were any."""
        had_tokens = bool(self._tokens)
        for frame in self._tokens:
            self._pending += encode_frame(frame)
        self._tokens, self._num_token_bytes = [], 0
        return had_tokens

    def finish(self) -> None:
        self._done.set()
        self._news.set()

    def break_off(self) -> None:
        self.is_broken = True
        self.finish()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """All bytes that are there, as they come."""
        while True:
            await self._news.wait()
            self._news.clear()
            has_tokens = self._encode_tokens()
            if self._pending:
                chunk, self._pending = bytes(self._pending), bytearray()
                yield chunk
                if has_tokens:
                    await self._pause()
            elif self._done.is_set():
                return
            if self._done.is_set():
                self._news.set()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace()):
                await self._done.wait()


def _size(frame: Frame) -> int:
    assert isinstance(frame, Tokens)
    return _TOKEN_BYTES * len(frame.ids) + len(frame.text.encode())
