"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.harness.options import BenchSettings


class KillSettings(BenchSettings):
    """`times`: kills of one engine, by its name in `bench.harness.engines`; each process of the gang is
    next in turn.  `turns`: in flight when it is killed.  `back_s`: the longest that a gang may take to be
    back."""

    times: Mapping[str, Annotated[int, Field(ge=0)]] = {"llamacpp": 20, "mlx-tp2": 20, "vllm-tp2": 5}
    turns: Annotated[int, Field(ge=1)] = 2
    output_tokens: Annotated[int, Field(ge=8)] = 1000
    prompt_words: Annotated[int, Field(ge=1)] = 12
    fate_s: float = 2.0
    back_s: float = 120.0


QUICK: Mapping[str, Any] = {"times": {"llamacpp": 2, "mlx-tp2": 2}}
"""Enough to see that everything works."""
