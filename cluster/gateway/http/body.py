"""Bodies: their limit, their JSON, and errors as bodies."""

import math
from typing import Any

from aiohttp import web

from cluster.core.errors import HearthError, RequestTooLarge
from cluster.gateway.fields import parse_object
from cluster.gateway.http.context import CONTEXT
from cluster.wire import JsonObject


async def read_object(request: web.Request) -> JsonObject:
    """The body as a JSON object.  Raises RequestTooLarge as soon as that is known, and InvalidField."""
    return parse_object(await _read(request, request.app[CONTEXT].max_body_bytes))


async def _read(request: web.Request, limit: int) -> bytes:
    size = request.content_length
    if size is not None and size > limit:
        raise RequestTooLarge(limit, size)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise RequestTooLarge(limit)
    return bytes(body)


def error_headers(error: HearthError) -> dict[str, str]:
    """What clients go by when they decide whether to try again."""
    headers: dict[str, str] = {}
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return headers


def error_response(error: HearthError) -> web.Response:
    body: dict[str, Any] = {"error": error.to_wire()}
    return web.json_response(body, status=error.status, headers=error_headers(error))
