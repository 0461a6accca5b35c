"""Around every handler: who may ask, errors as the contract words them, counting."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from cluster.core.errors import HearthError, InvalidRequest, ServerError
from cluster.gateway.http.body import error_response
from cluster.gateway.http.context import CONTEXT, MODEL
from cluster.gateway.http.guard import check_local

log = logging.getLogger(__name__)
CONSOLE_FILE = "/{path}"  # as aiohttp writes the route /{path:.+}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoSuchRoute(InvalidRequest):
    """A path that this gateway does not serve, or not by this method; `served` are the methods it takes."""

    def __init__(self, method: str, path: str, served: Iterable[str]) -> None:
        self.method, self.path, self.served = method, path, sorted(served)
        super().__init__(method, path, self.served)
        self.status, self.code = (405, "method_not_allowed") if self.served else (404, "not_found")

    def __str__(self) -> str:
        remedy = (
            f"It takes {', '.join(self.served)}."
            if self.served
            else "The API is under /v1, the console at /."
        )
        return f"{self.method} {self.path} is not served here. {remedy}"


async def _methods(request: web.Request) -> set[str]:
    """The methods that serve this path.  The console's catch-all takes every path, so it proves nothing."""
    served: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical != CONSOLE_FILE:
            served |= (await resource.resolve(request))[1]
    return served


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
        if fault.status not in (404, 405):
            raise
        return error_response(NoSuchRoute(request.method, request.path, await _methods(request)))
    except asyncio.CancelledError:
        raise
    except Exception as fault:  # the client is told, whatever it is
        log.exception("%s %s failed", request.method, request.path)
        return error_response(ServerError(f"The gateway failed ({type(fault).__name__})."))
