"""Prompts: of a file, or made from a seed, each unlike all others from its first word on."""

import json
import random
from pathlib import Path
from typing import Any

Messages = list[dict[str, Any]]

WORDS = (
    "lamp",
    "kettle",
    "garden",
    "window",
    "letter",
    "harbour",
    "winter",
    "copper",
    "basket",
    "violin",
    "thunder",
    "pepper",
    "ladder",
    "meadow",
    "candle",
    "bridge",
    "saddle",
    "orchard",
    "ribbon",
    "anchor",
    "marble",
    "feather",
    "lantern",
    "barley",
    "compass",
    "thimble",
    "willow",
    "hammer",
    "parcel",
    "sparrow",
)


def prompts(data: str | None, seed: int, num: int, num_words: int) -> list[Messages]:
    """`num` prompts of `num_words` words each; of a file as many as it has, from the start again."""
    if data is not None:
        found = [json.loads(line)["messages"] for line in Path(data).read_text().splitlines() if line.strip()]
        return [found[at % len(found)] for at in range(num)]
    chance = random.Random(seed)
    return [[{"role": "user", "content": _sentence(chance, at, num_words)}] for at in range(num)]


def _sentence(chance: random.Random, number: int, num_words: int) -> str:
    words = [f"{chance.getrandbits(32):08x}-{number:03d}", *chance.choices(WORDS, k=num_words - 1)]
    return " ".join(words)


def source_of(data: str | None) -> str:
    """What the output says of where prompts came from."""
    return f"file {Path(data).name}" if data else "made from the seed; no file was given"
