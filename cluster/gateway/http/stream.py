"""Server-sent events to one client."""

import asyncio

from aiohttp import web

from cluster.gateway.http.context import CONTEXT

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class EventStream:
    """Begun with the status line; a client that takes nothing for `write_s` is given up."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._write_s = request.app[CONTEXT].write_s
        self.response = web.StreamResponse(headers=HEADERS)

    @property
    def has_begun(self) -> bool:
        return self.response.prepared

    async def begin(self, headers: dict[str, str], first: bytes = b"") -> None:
        self.response.headers.update(headers)
        await self.response.prepare(self._request)
        await self.write(first)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError where the client is away or takes nothing any more."""
        try:
            async with asyncio.timeout(self._write_s):
                await self.response.write(data)
        except TimeoutError as fault:
            raise ConnectionResetError(f"the client took nothing for {self._write_s:.0f} s") from fault
