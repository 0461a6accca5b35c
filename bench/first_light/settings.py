"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from bench.harness.options import BenchSettings
from cluster.models.tiny import Shape

Count = Annotated[int, Field(ge=1)]
MODEL = "bench-random"
WINDOW_TOKENS = 2048


class FirstLightSettings(BenchSettings):
    """`repeats`: of each side, for each seed.  `kv_tokens`: the engine's KV memory.  `layers`, `width`:
    the size of the random model.  `ttfb_samples`: prompts of one repeat.  `starts`: of the same home."""

    turns: Count = 50
    slots: Count = 4
    kv_tokens: Annotated[int, Field(ge=256)] = 4096
    output_tokens: Count = 256
    prompt_words: Count = 12
    repeats: Count = 5
    ttfb_repeats: Count = 5
    ttfb_samples: Count = 12
    layers: Count = 4
    width: Annotated[int, Field(ge=64, multiple_of=64)] = 256
    starts: Count = 2
    sample_s: Annotated[float, Field(gt=0)] = 0.1

    @property
    def shape(self) -> Shape:
        heads = self.width // 32
        return Shape(
            layers=self.layers,
            width=self.width,
            heads=heads,
            kv_heads=heads // 2,
            hidden=3 * self.width,
            window=WINDOW_TOKENS,
        )


QUICK: Mapping[str, Any] = {
    "output_tokens": 24,
    "repeats": 1,
    "ttfb_repeats": 1,
    "ttfb_samples": 4,
    "starts": 1,
}
"""Enough to see that everything works; its figures say little."""
