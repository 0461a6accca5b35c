"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.harness.options import BenchSettings

Count = Annotated[int, Field(ge=1)]
POLICIES = ("batched", "first-come")


class SwapSettings(BenchSettings):
    """`models` equal ones in memory for `fitting` of them.  `turns` arrive `gap_s` apart on average, as many
    for each model, in an order by chance.  `swap_wait_s`: as in hearth.yaml, and its default there."""

    models: Count = 3
    fitting: Count = 2
    turns: Count = 60
    gap_s: Annotated[float, Field(gt=0)] = 2.0
    output_tokens: Count = 200
    prompt_words: Count = 12
    repeats: Count = 2
    layers: Count = 4
    width: Annotated[int, Field(ge=64, multiple_of=64)] = 256
    context_tokens: Annotated[int, Field(ge=256)] = 4096
    swap_wait_s: Annotated[float, Field(gt=0)] = 60.0
    answer_s: Annotated[float, Field(gt=0)] = 900.0

    @property
    def names(self) -> list[str]:
        return [f"model-{number}" for number in range(1, self.models + 1)]


QUICK: Mapping[str, Any] = {
    "turns": 12,
    "gap_s": 0.5,
    "output_tokens": 32,
    "swap_wait_s": 10.0,
    "repeats": 1,
}
"""Enough to see that everything works; its figures say little."""
