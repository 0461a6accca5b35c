"""A streamed answer as its bytes say it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.gateway.home import Home


@dataclass
class Said:
    """A whole stream, joined."""

    chunks: list[dict[str, Any]] = field(default_factory=list)

    def _deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", ())]

    @property
    def content(self) -> str:
        return "".join(delta.get("content") or "" for delta in self._deltas())

    @property
    def reasoning(self) -> str:
        return "".join(delta.get("reasoning_content") or "" for delta in self._deltas())

    @property
    def calls(self) -> list[tuple[str, str]]:
        calls = [call["function"] for delta in self._deltas() for call in delta.get("tool_calls", ())]
        return [(call["name"], call["arguments"]) for call in calls]

    @property
    def reasons(self) -> list[str]:
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", ())]
        return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]

    @property
    def usage(self) -> dict[str, Any]:
        return self.chunks[-1]["usage"]

    @property
    def hearth(self) -> dict[str, str]:
        return self.chunks[-1]["hearth"]

    @property
    def error(self) -> dict[str, Any]:
        return self.chunks[-1]["error"]


@asynccontextmanager
async def streaming(
    pool: Home, text: str, **ask: object
) -> AsyncGenerator[tuple[aiohttp.ClientResponse, AsyncGenerator[dict[str, Any]]]]:
    """The response, and its chunks as they come."""
    body = {"model": "fake", "messages": [{"role": "user", "content": text}], "stream": True, **ask}
    async with pool.http.post(f"{pool.url}/v1/chat/completions", json=body) as answer:
        yield answer, _chunks(answer)


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any]]:
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/event-stream"
    async for line in answer.content:
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


async def stream(pool: Home, text: str, **ask: object) -> Said:
    async with streaming(pool, text, **ask) as (_, chunks):
        return Said([chunk async for chunk in chunks])
