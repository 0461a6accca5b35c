"""How an adapter asks a server of ours or of others: HTTP with JSON on a Unix socket."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp

from cluster.deployments import sse
from cluster.deployments.engine import EngineLost
from cluster.wire import JsonObject

ANSWER_TIMEOUT_S = 60.0
SILENCE_TIMEOUT_S = 600.0
"""A stream that says nothing for so long is lost; prefill says something with every batch."""

_BASE = "http://engine"


class Refused(Exception):
    """The server answered with an error.  `kind` is its `type`, `details` the whole error object."""

    def __init__(self, status: int, details: JsonObject) -> None:
        super().__init__(status, details)
        self.status, self.details = status, details

    @property
    def kind(self) -> str:
        return str(self.details.get("type", ""))

    def __str__(self) -> str:
        return str(self.details.get("message", self.details))


class EngineHttp:
    """A client of the server behind one Unix socket.  Raises EngineLost where nobody answers."""

    def __init__(self, socket: Path) -> None:
        # No connection is kept: closing one is how a generation is cancelled.
        connector = aiohttp.UnixConnector(str(socket), limit=0, force_close=True)
        self._http = aiohttp.ClientSession(_BASE, connector=connector)

    async def close(self) -> None:
        await self._http.close()

    async def is_there(self, path: str) -> bool:
        """False while the server loads, or is not there yet."""
        try:
            async with self._http.get(path, timeout=aiohttp.ClientTimeout(5)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def ask(self, method: str, path: str, body: JsonObject | None = None) -> Any:  # noqa: ANN401
        """One question, one JSON answer.  Raises Refused."""
        timeout = aiohttp.ClientTimeout(ANSWER_TIMEOUT_S)
        try:
            async with self._http.request(method, path, json=body, timeout=timeout) as response:
                return await _answer(response)
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise EngineLost(f"{path}: {fault or type(fault).__name__}") from fault

    async def stream(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject]:
        """A stream's events.  Raises Refused, before or inside it; closing it closes the connection."""
        timeout = aiohttp.ClientTimeout(None, sock_connect=ANSWER_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
        try:
            async with self._http.post(path, json=body, timeout=timeout) as response:
                if response.status != 200:
                    await _answer(response)
                async for event in sse.events(response):
                    if "error" in event:
                        raise _refused(event["error"])
                    yield event
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise EngineLost(f"{path}: {fault or type(fault).__name__}") from fault


async def _answer(response: aiohttp.ClientResponse) -> Any:  # noqa: ANN401
    try:
        body = await response.json(content_type=None)
    except ValueError as fault:
        raise EngineLost(f"status {response.status} without JSON") from fault
    if response.status != 200:
        raise _refused(body.get("error", body) if isinstance(body, dict) else body, response.status)
    return body


def _refused(error: object, status: int = 500) -> Refused:
    """`status`: where the error itself tells none."""
    details: JsonObject = error if isinstance(error, dict) else {"message": str(error)}
    code = details.get("code")
    return Refused(code if isinstance(code, int) else status, details)
