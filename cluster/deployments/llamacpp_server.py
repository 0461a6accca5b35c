"""What we ask of a llama.cpp server: one method a question."""

import asyncio
import contextlib
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


class LlamaServer:
    """A client of the server behind one Unix socket.  Raises EngineLost where nobody answers."""

    def __init__(self, socket: Path) -> None:
        # No connection is kept: closing one is how a generation is cancelled.
        connector = aiohttp.UnixConnector(str(socket), limit=0, force_close=True)
        self._http = aiohttp.ClientSession(_BASE, connector=connector)

    async def close(self) -> None:
        await self._http.close()

    async def is_loaded(self) -> bool:
        """False while the server loads, or is not there yet."""
        try:
            async with self._http.get("/health", timeout=aiohttp.ClientTimeout(5)) as response:
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

    async def render(self, body: JsonObject) -> str:
        return (await self.ask("POST", "/apply-template", body))["prompt"]

    async def tokenize(self, text: str, *, parse_special: bool, is_start: bool = True) -> tuple[int, ...]:
        """`is_start`: with the model's start token, where it wants one; a rendered prompt lacks it."""
        body = {"content": text, "parse_special": parse_special, "add_special": is_start}
        return tuple((await self.ask("POST", "/tokenize", body))["tokens"])

    async def complete(self, body: JsonObject) -> JsonObject:
        """A whole completion in one answer."""
        return await self.ask("POST", "/completion", {**body, "stream": False})

    async def stream(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject]:
        """A stream's events.  Raises Refused, before or inside it; closing it closes the connection."""
        timeout = aiohttp.ClientTimeout(None, sock_connect=ANSWER_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
        try:
            async with self._http.post(path, json={**body, "stream": True}, timeout=timeout) as response:
                if response.status != 200:
                    await _answer(response)
                async for event in sse.events(response):
                    if "error" in event:
                        raise Refused(int(event["error"].get("code", 500)), event["error"])
                    yield event
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise EngineLost(f"{path}: {fault or type(fault).__name__}") from fault

    async def erase(self, slot: int) -> None:
        with contextlib.suppress(Refused):
            await self.ask("POST", f"/slots/{slot}?action=erase")

    async def wait_idle(self, slot: int, timeout_s: float) -> None:
        """Returns when the slot computes nothing.  Raises EngineLost where it does not stop."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if not (await self.ask("GET", "/slots"))[slot]["is_processing"]:
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError as fault:
            raise EngineLost(f"slot {slot} computes on after its turn was cancelled") from fault


async def _answer(response: aiohttp.ClientResponse) -> Any:  # noqa: ANN401
    try:
        body = await response.json(content_type=None)
    except ValueError as fault:
        raise EngineLost(f"status {response.status} without JSON") from fault
    if response.status != 200:
        error = body.get("error", body) if isinstance(body, dict) else {"message": str(body)}
        raise Refused(response.status, error)
    return body
