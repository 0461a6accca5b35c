"""The pool for people and for their tools: /healthz, /metrics, /api/view and its stream, /api/models."""

import asyncio
from dataclasses import asdict
from enum import Enum
from typing import Any

from aiohttp import web

from cluster.core.view import ModelStatus, PoolView
from cluster.gateway import lifecycle
from cluster.gateway.http.context import CONTEXT
from cluster.gateway.http.models import pool_view
from cluster.gateway.http.stream import EventStream
from cluster.gateway.openai.chunks import event
from cluster.metrics import CONTENT_TYPE, render
from cluster.ports import RouterAway
from cluster.wire import JsonObject


async def health(request: web.Request) -> web.Response:
    """200 where a turn would be answered, if need be after a load, else 503; with what is there."""
    body = health_body(await _view_or_none(request))
    return web.json_response(body, status=200 if body["status"] == "ready" else 503)


def health_body(view: PoolView | None) -> JsonObject:
    models = {} if view is None else {model.model: model.state for model in view.models}
    is_ready = view is not None and any(_answers(model) for model in view.models)
    return {
        "status": "ready" if is_ready else "starting",
        "router": "away" if view is None else "ready",
        "models": models,
    }


def _answers(model: ModelStatus) -> bool:
    return model.state == "ready" or (model.state in ("unloaded", "unloading") and model.fits)


async def metrics(request: web.Request) -> web.Response:
    page = render(await _view_or_none(request), request.app[CONTEXT].turns.counters)
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def _view_or_none(request: web.Request) -> PoolView | None:
    try:
        return await request.app[CONTEXT].turns.link.view()
    except RouterAway:
        return None


async def view(request: web.Request) -> web.Response:
    return web.json_response(view_body(await pool_view(request)))


async def load(request: web.Request) -> web.Response:
    """Answers at once, with the model as it is now."""
    return _asked(await lifecycle.load(request.app[CONTEXT].turns.link, request.match_info["model"]))


async def unload(request: web.Request) -> web.Response:
    return _asked(await lifecycle.unload(request.app[CONTEXT].turns.link, request.match_info["model"]))


def _asked(asked: lifecycle.Asked) -> web.Response:
    return web.json_response({"model": _plain(asdict(asked.model)), "note": asked.note})


async def view_stream(request: web.Request) -> web.StreamResponse:
    """The view again and again, as server-sent events; an event named `away` while no router answers."""
    stream = EventStream(request)
    try:
        await stream.begin({})
        while True:
            view = await _view_or_none(request)
            await stream.write(b"event: away\ndata: {}\n\n" if view is None else event(view_body(view)))
            await asyncio.sleep(request.app[CONTEXT].view_every_s)
    except ConnectionError:
        return stream.response


def view_body(view: PoolView) -> JsonObject:
    return _plain(asdict(view))


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of a view
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case frozenset():
            return sorted(_plain(item) for item in value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case Enum():
            return value.value
        case _:
            return value
