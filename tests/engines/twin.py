"""The greedy answers of llama.cpp, in F32, to hold other engines with the same weights against."""

from dataclasses import dataclass, replace
from pathlib import Path

from cluster.config import ModelConfig
from cluster.deployments.llamacpp import LlamaCppEngine
from cluster.wire import JsonObject, TurnRequest
from tests.engines.kit import answer, ask
from tests.engines.shapes import SWITCH

NUM_TOKENS = 64

_CALL = {"name": "switch", "arguments": '{"on": true}'}
_TALK: tuple[JsonObject, ...] = (
    {"role": "system", "content": "Be brief \u2013 and clear."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function", "function": _CALL}]},
    {"role": "tool", "tool_call_id": "a", "content": "done"},
    {"role": "user", "content": """Say "x", 'y' & <z> in 2024: 世界 🦊"""},
)

CONVERSATIONS = (
    ask("What is there?", "one", NUM_TOKENS),
    ask("word " * 100, "two", NUM_TOKENS),
    replace(ask("", "three", NUM_TOKENS), messages=_TALK, tools=(SWITCH,)),
)
"""Short, long, and all that a template knows."""


@dataclass(frozen=True)
class Twin:
    """Ids of one turn; `answer` without the token that ended it."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


async def answers_of_llamacpp(gguf: Path) -> list[Twin]:
    """One for each of the conversations."""
    config = ModelConfig.model_validate({"name": "twin", "source": str(gguf), "kv_type": "f32"})
    engine = LlamaCppEngine(config, free_bytes=lambda: 2 * 2**30)
    await engine.start(lambda _: None)
    try:
        return [await _answer(engine, request) for request in CONVERSATIONS]
    finally:
        await engine.stop()


async def _answer(engine: LlamaCppEngine, request: TurnRequest) -> Twin:
    return Twin((await engine.prepare(request)).ids or (), (await answer(engine, request)).ids)
