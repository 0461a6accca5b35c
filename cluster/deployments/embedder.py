"""Texts to vectors by the `/v1/embeddings` of an engine's own server."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cluster.core.errors import InputTooLong, InvalidRequest
from cluster.deployments.engine_http import Refused
from cluster.deployments.overflow import read_overflow
from cluster.wire import Embeddings, JsonObject

Ask = Callable[[str, str, JsonObject], Awaitable[Any]]
"""`ask(method, path, body)`; raises Refused and EngineLost."""


async def embed(ask: Ask, inputs: Sequence[str], window_tokens: int) -> Embeddings:
    """Raises InputTooLong, InvalidRequest and EngineLost."""
    try:
        answer = await ask("POST", "/v1/embeddings", {"input": list(inputs)})
    except Refused as fault:
        if read_overflow(str(fault)) is not None:
            raise InputTooLong(window_tokens) from fault
        raise InvalidRequest(str(fault)) from fault
    items = sorted(answer["data"], key=lambda item: item["index"])
    return Embeddings(tuple(tuple(item["embedding"]) for item in items), answer["usage"]["prompt_tokens"])
