"""Server-sent events as JSON objects."""

import json
from collections.abc import AsyncIterator

import aiohttp

from cluster.wire import JsonObject

MAX_EVENT_BYTES = 16 * 1024 * 1024


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[JsonObject]:
    """Every event's object, until the stream or `[DONE]` ends it.  An `error:` event comes as
    `{"error": ...}`.  Raises ValueError on what is no JSON and on events over MAX_EVENT_BYTES."""
    rest = b""
    async for data in response.content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is over {MAX_EVENT_BYTES} bytes")
        for line in lines:
            field, _, value = line.strip().partition(b":")
            if field not in (b"data", b"error") or not value.strip():
                continue
            if value.strip() == b"[DONE]":
                return
            body = json.loads(value)
            yield body if field == b"data" or "error" in body else {"error": body}
