"""Around every handler: who may ask, errors as the contract words them, counting."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from cluster.core.errors import HearthError, InvalidRequest, ServerError
from cluster.gateway.http.body import error_response
from cluster.gateway.http.context import CONTEXT, MODEL
from cluster.gateway.http.guard import check_local

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoSuchRoute(InvalidRequest):
    """A path or method that this gateway does not serve."""

    def __init__(self, status: int, method: str, path: str) -> None:
        super().__init__(status, method, path)
        self.status, self.code = status, "not_found" if status == 404 else "method_not_allowed"
        self.method, self.path = method, path

    def __str__(self) -> str:
        return f"{self.method} {self.path} is not served here. The API is under /v1, the console at /."


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    counters = request.app[CONTEXT].turns.counters
    status = 499
    try:
        with counters.in_flight():
            response = await _answer(request, handler)
        status = response.status
        return response
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "other"
        counters.request(route, status, request.get(MODEL, ""))


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        check_local(request.headers.get("Host"), request.headers.get("Origin"))
        return await handler(request)
    except HearthError as error:
        return error_response(error)
    except web.HTTPException as fault:
        return error_response(NoSuchRoute(fault.status, request.method, request.path))
    except asyncio.CancelledError:
        raise
    except Exception as fault:  # the client is told, whatever it is
        log.exception("%s %s failed", request.method, request.path)
        return error_response(ServerError(f"The gateway failed ({type(fault).__name__})."))
