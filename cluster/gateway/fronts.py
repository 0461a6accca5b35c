"""The gateway's way to the fronts: tickets and turns out, frames in."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgpack

from cluster.core.errors import ContextLengthExceeded
from cluster.gateway.relay import is_clients_fault
from cluster.wire import TICKET_HEADER, Embeddings, Failed, Frame, FrameDecoder, decode_embeddings


@dataclass(frozen=True, slots=True)
class FrontTimes:
    """Seconds.  `silence_s`: a stream that says nothing for so long is lost; more than a front gives its
    engine, because the front knows better."""

    connect_s: float = 2.0
    measure_s: float = 10.0
    silence_s: float = 330.0


class FrontLost(ConnectionError):
    """The front could not be reached, broke off, or fell silent."""


class FrontRefused(Exception):
    """The front answered with `failed` instead of what was asked for."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)
        self.failed = failed


class Fronts:
    """One pool of connections to all fronts.  `close` it."""

    def __init__(self, times: FrontTimes | None = None) -> None:
        self._times = times or FrontTimes()
        # The turns of a gateway are bounded, so its connections are; a pooled one is given up before
        # the front does so.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=15)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        await self._session.close()

    async def turn(self, endpoint: str, ticket: str, body: bytes) -> AsyncGenerator[Frame]:
        """The frames of a turn.  Close the generator to cancel.  Raises FrontLost."""
        times = self._times
        wait = aiohttp.ClientTimeout(total=None, sock_connect=times.connect_s, sock_read=times.silence_s)
        decoder = FrameDecoder()
        try:
            async with self._post(endpoint, "turn", ticket, body, wait) as response:
                async for chunk in response.content.iter_any():
                    for frame in decoder.feed(chunk):
                        yield frame
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            raise FrontLost(f"{endpoint}: {fault!r}") from fault

    async def measure(self, endpoint: str, ticket: str, body: bytes) -> int | None:
        """The exact size of a turn's prompt in tokens; None where it cannot be had.

        Raises FrontRefused where the prompt is one that this model can never answer.
        """
        wait = aiohttp.ClientTimeout(total=self._times.measure_s, sock_connect=self._times.connect_s)
        try:
            answer = msgpack.unpackb(await self._whole(endpoint, "measure", ticket, body, wait))
            return answer["prompt_tokens"]
        except FrontRefused as refusal:
            # Too long for one is not too long for all: the router knows them all.
            if refusal.failed.code == ContextLengthExceeded.code:
                return refusal.failed.prompt_tokens
            if is_clients_fault(refusal.failed):
                raise
            return None
        except (FrontLost, ValueError, KeyError, TypeError):
            return None

    async def embed(self, endpoint: str, ticket: str, body: bytes) -> Embeddings:
        """Raises FrontLost, FrontRefused."""
        wait = aiohttp.ClientTimeout(total=self._times.silence_s, sock_connect=self._times.connect_s)
        answer = await self._whole(endpoint, "embed", ticket, body, wait)
        try:
            return decode_embeddings(answer)
        except ValueError as fault:
            raise FrontLost(f"{endpoint}: {fault}") from fault

    async def _whole(
        self, endpoint: str, path: str, ticket: str, body: bytes, wait: aiohttp.ClientTimeout
    ) -> bytes:
        try:
            async with self._post(endpoint, path, ticket, body, wait) as response:
                answer = await response.read()
                if response.status == 200:
                    return answer
                raise FrontRefused(_failed(answer))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            raise FrontLost(f"{endpoint}: {fault!r}") from fault

    def _post(self, endpoint: str, path: str, ticket: str, body: bytes, wait: aiohttp.ClientTimeout) -> Any:  # noqa: ANN401 - aiohttp's own context manager has no public name
        return self._session.post(
            f"{endpoint}/{path}", data=body, headers={TICKET_HEADER: ticket}, timeout=wait
        )


def _failed(answer: bytes) -> Failed:
    for frame in FrameDecoder().feed(answer):
        if isinstance(frame, Failed):
            return frame
    raise ValueError("neither an answer nor an error")
