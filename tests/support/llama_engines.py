"""A real llama.cpp on a random model, and what tests ask of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import psutil

from cluster.config import ModelConfig
from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineFacts, Loading
from cluster.deployments.llamacpp import LlamaCppEngine
from cluster.models.tiny import MARKERS, MERGES
from cluster.wire import (
    Ended,
    Frame,
    JsonObject,
    Sampling,
    Tokens,
    TurnRequest,
)
from tests.support.tiny_gguf import CALM, Shape, tiny_gguf

ANNA, BEN = SessionKey("home", "anna"), SessionKey("home", "ben")
HELLO: JsonObject = {"role": "user", "content": "Hello there 🦊"}
SWITCH: JsonObject = {
    "type": "function",
    "function": {
        "name": "switch",
        "parameters": {
            "type": "object",
            "properties": {"on": {"type": "boolean"}},
            "required": ["on"],
            "additionalProperties": False,
        },
    },
}
FIRST_CONTROL = 256 + len(MERGES) + len(MARKERS)


def leftovers_of(engine: Engine) -> list[str]:
    process = cast(LlamaCppEngine, engine)._process
    found = []
    if process._child is not None and psutil.pid_exists(process._child.pid):
        found.append(f"process {process._child.pid}")
    if process._folder is not None and process._folder.exists():
        found.append(str(process._folder))
    return found


def ignore(_: Loading) -> None:
    pass


@asynccontextmanager
async def running(
    shape: Shape = CALM,
    **chosen: object,
) -> AsyncGenerator[tuple[LlamaCppEngine, EngineFacts]]:
    """f32 is the exact kind: no rounding that depends on how tokens were batched."""
    body = {"name": "tiny", "source": str(tiny_gguf(shape)), "kv_type": "f32", **chosen}
    config = ModelConfig.model_validate(body)
    engine = LlamaCppEngine(config, free_bytes=lambda: 4 * 2**30)
    try:
        yield engine, await engine.start(ignore)
    finally:
        await engine.stop()


def turn(session: SessionKey = ANNA, **chosen: Any) -> TurnRequest:  # noqa: ANN401
    if not {"ids", "prompt"} & chosen.keys():
        chosen = {"messages": (HELLO,), **chosen}
    chosen = {"max_tokens": 24, "sampling": Sampling(temperature=0), **chosen}
    return TurnRequest("turn", session, "tiny", **chosen)


async def answer(engine: LlamaCppEngine, request: TurnRequest) -> list[Frame]:
    return [frame async for frame in engine.generate(request, await engine.prepare(request))]


def ids_of(frames: list[Frame]) -> tuple[int, ...]:
    return tuple(token for frame in frames if isinstance(frame, Tokens) for token in frame.ids)


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, Tokens))


def ended(frames: list[Frame]) -> Ended:
    assert isinstance(frames[-1], Ended), frames[-1]
    return frames[-1]


async def slots(engine: LlamaCppEngine) -> list[JsonObject]:
    return await engine._process.server.ask("GET", "/slots")


def pid_of(engine: LlamaCppEngine) -> int:
    assert engine._process._child is not None
    return engine._process._child.pid


async def until(frames: AsyncGenerator[Frame], kind: type[Frame]) -> None:
    async for frame in frames:
        if isinstance(frame, kind):
            return
