"""A client that costs little: bytes are noted with their time as they come, and read when all is over.

The same for a TCP address and for a Unix socket, so that two sides of a comparison pay the same.  asyncio
sets TCP_NODELAY by itself.  Times are seconds of the machine's monotonic clock.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int] | str
"""Host and port, or a Unix socket's path."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`events`: of a stream, with the time at which each was complete.  `body`: what was no stream."""

    status: int
    sent_s: float
    first_byte_s: float
    events: list[tuple[float, dict[str, Any]]]
    body: bytes


class Connection(asyncio.Protocol):
    """One request: connect, `send`, `reply`."""

    def __init__(self) -> None:
        self._parts: list[tuple[float, bytes]] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._grown = asyncio.Event()
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append((time.monotonic(), data))
        self._grown.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def send(self, request: bytes) -> None:
        self._sent_s = time.monotonic()
        self._transport.write(request)

    async def has(self, num_bytes: int, timeout_s: float) -> None:
        """Waits until so much has come.  Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while sum(len(data) for _, data in self._parts) < num_bytes:
                self._grown.clear()
                await self._grown.wait()

    async def reply(self, timeout_s: float) -> Reply:
        """Waits for the end of the connection.  Raises TimeoutError, and ValueError on half an answer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._over
        finally:
            self._transport.abort()
        return _read(self._sent_s, self._parts)


async def connect(address: Address) -> Connection:
    loop = asyncio.get_running_loop()
    if isinstance(address, str):
        return (await loop.create_unix_connection(Connection, address))[1]
    return (await loop.create_connection(Connection, *address))[1]


async def ask(address: Address, request: bytes, timeout_s: float = 60.0) -> Reply:
    connection = await connect(address)
    connection.send(request)
    return await connection.reply(timeout_s)


def post(path: str, body: dict[str, Any] | None = None) -> bytes:
    data = json.dumps(body or {}).encode()
    return _head("POST", path, f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n") + data


def get(path: str) -> bytes:
    return _head("GET", path, "")


def _head(method: str, path: str, more: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n".encode()


def _read(sent_s: float, parts: list[tuple[float, bytes]]) -> Reply:
    raw = b"".join(data for _, data in parts)
    head, gap, _ = raw.partition(b"\r\n\r\n")
    if not gap:
        raise ValueError(f"the connection ended after {raw[:200]!r}")
    status = int(head.split(b" ", 2)[1])
    is_chunked = b"transfer-encoding: chunked" in head.lower()
    clock, start = _Clock(parts), len(head) + 4
    first_byte_s = clock.at(start + 1)
    pieces = list(_chunks(raw, start)) if is_chunked else [(len(raw), raw[start:])]
    body = b"".join(data for _, data in pieces)
    events = list(_events(pieces, clock)) if b"text/event-stream" in head.lower() else []
    return Reply(status, sent_s, first_byte_s, events, b"" if events else body)


class _Clock:
    """When the byte at an offset had come.  Offsets must not fall."""

    def __init__(self, parts: list[tuple[float, bytes]]) -> None:
        self._parts, self._index, self._end = parts, 0, len(parts[0][1])

    def at(self, offset: int) -> float:
        while self._end < offset and self._index + 1 < len(self._parts):
            self._index += 1
            self._end += len(self._parts[self._index][1])
        return self._parts[self._index][0]


def _chunks(raw: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Chunks of a chunked body with the offset at which each ends."""
    while at < len(raw):
        line = raw.index(b"\r\n", at)
        size = int(raw[at:line].split(b";")[0], 16)
        if size == 0:
            return
        yield line + 2 + size, raw[line + 2 : line + 2 + size]
        at = line + 4 + size


def _events(pieces: list[tuple[int, bytes]], clock: _Clock) -> Iterator[tuple[float, dict[str, Any]]]:
    rest = b""
    for end, data in pieces:
        *whole, rest = (rest + data).split(b"\n\n")
        for event in whole:
            words = event.removeprefix(b"data:").strip()
            if words != b"[DONE]":
                yield clock.at(end), json.loads(words)
