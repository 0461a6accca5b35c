"""The frames of one turn on their way from the engine's pace to the client's."""

import asyncio
from collections.abc import AsyncGenerator

from cluster.wire import Frame, encode_frame


class Pipe:
    """Bounded bytes with one reader.  `is_broken`: it stopped without its last frame."""

    def __init__(self, max_bytes: int) -> None:
        self.is_broken = False
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._is_done = False
        self._news = asyncio.Event()

    def send(self, frame: Frame) -> bool:
        """False where the reader lags too far behind: the frame is lost, and so is the stream."""
        data = encode_frame(frame)
        # One frame may be larger than the bound; a lag may not.
        if self._pending and len(self._pending) + len(data) > self._max_bytes:
            self.break_off()
            return False
        self._pending += data
        self._news.set()
        return True

    def finish(self) -> None:
        self._is_done = True
        self._news.set()

    def break_off(self) -> None:
        self.is_broken = True
        self.finish()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """All bytes that are there, as they come."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._pending:
                chunk, self._pending = bytes(self._pending), bytearray()
                yield chunk
            elif self._is_done:
                return
            if self._is_done:
                self._news.set()
