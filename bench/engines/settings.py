"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.harness.engines import ENGINES
from bench.harness.options import BenchSettings

Count = Annotated[int, Field(ge=1)]


class EngineSettings(BenchSettings):
    """`engines`: by their names in `bench.harness.engines`.  `session_tokens`: about the prompt of a
    session's first turn.  The flood is `flood_turns` at once into a vLLM with `flood_kv_tokens`."""

    engines: tuple[str, ...] = tuple(ENGINES)
    greedy_prompts: Count = 6
    greedy_tokens: Count = 64
    session_tokens: Count = 1000
    sessions: Count = 3
    ttft_samples: Count = 16
    burst_turns: Count = 8
    burst_tokens: Count = 128
    prompt_words: Count = 24
    repeats: Count = 5
    flood_turns: Annotated[int, Field(ge=0)] = 50
    flood_kv_tokens: Annotated[int, Field(ge=256)] = 4096
    flood_tokens: Count = 256
    flood_repeats: Count = 5


QUICK: Mapping[str, Any] = {
    "engines": ("llamacpp", "mlx"),
    "greedy_prompts": 2,
    "sessions": 1,
    "ttft_samples": 4,
    "burst_tokens": 24,
    "repeats": 1,
    "flood_turns": 0,
}
"""Enough to see that everything works; its figures say little."""
