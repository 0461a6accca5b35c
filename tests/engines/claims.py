"""What each engine can do, as the contract's tests show it and docs/engines.md tells it.

A test of the contract says with `shows` which ability it is about.  An engine's test class names its claim;
for what the claim lacks, the test expects a clear refusal, or that the engine says so itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


class Ability(StrEnum):
    """Rows of the table."""

    TURNS = "answers as a stream of tokens, greedy ones the same each time"
    CANCEL = "a client that leaves frees the sequence at once"
    BATCHES = "several turns at once"
    USAGE = "usage, with `cached_tokens`"
    IDS = "exact prompt size before the turn starts"
    CONTINUES = "an answer goes on elsewhere from its ids"
    SAME_IDS = "greedy ids equal to llama.cpp's on the same weights"
    PREFIX = "the next turn finds its prefix"
    TENANTS = "tenants never find each other's prefixes"
    EVICTS = "an evicted session is gone at once"
    PROGRESS = "tells how far a long prompt is"
    KV = "tells the KV memory it really has"
    STOPS = "stop strings"
    SAFE = "template tokens in people's text are harmless"
    REASONING = "reasoning apart from the answer"
    OPENED = "reasoning that the template opened"
    TOOLS = "tool calls, several in one answer too"
    FORCED = "`tool_choice` required or named"
    SCHEMA = "`response_format` with JSON or a JSON schema"
    EMBEDDINGS = "embeddings"
    IMAGES = "images"
    CRASH = "a crash is told and leaves nothing behind"


@dataclass(frozen=True)
class Claim:
    """A column of the table.  `lacks`: what it cannot do, and why, in a few words."""

    engine: str
    lacks: Mapping[Ability, str] = field(default_factory=dict[Ability, str])

    def has(self, ability: Ability) -> bool:
        return ability not in self.lacks


def shows(ability: Ability) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        test.shows = ability  # ty: ignore[missing-attribute]
        return test

    return mark


UNNAMED = Claim("")
"""Of an engine that is not in the table."""

_READS = {Ability.IMAGES: "text alone"}
_THEIRS = "the server's own affair"
_ONE_RANK = {Ability.EMBEDDINGS: "tried on one rank alone, where such models fit"}

LLAMACPP = Claim("llama.cpp", _READS)

_VLLM = {
    **_READS,
    Ability.PROGRESS: "silent until the first token",
    Ability.EVICTS: "reused when it needs the room",
}
VLLM = Claim("vLLM", _VLLM)
VLLM_TP2 = Claim("vLLM, 2 ranks", _VLLM | _ONE_RANK)
VLLM_TWO_HOSTS = Claim("vLLM, 2 hosts", _VLLM | _ONE_RANK)

_MLX = {**_READS, Ability.EMBEDDINGS: "none in mlx-lm"}
MLX = Claim("MLX", _MLX)
MLX_TP2 = Claim("MLX, 2 ranks by tensors", _MLX)
MLX_PP2 = Claim("MLX, 2 ranks by layers", _MLX)

UPSTREAM = Claim(
    "upstream",
    {
        Ability.IMAGES: "passed on where the server says that its model sees",
        Ability.IDS: "told at the end",
        Ability.CONTINUES: "no ids, so a lost answer begins anew",
        Ability.SAME_IDS: "no ids",
        Ability.PREFIX: "counted where the server tells",
        Ability.TENANTS: _THEIRS,
        Ability.EVICTS: _THEIRS,
        Ability.SAFE: _THEIRS,
        Ability.OPENED: "as the server parses it",
        Ability.KV: "estimated from `max_concurrency` and the window",
    },
)
FAKE = Claim("fake", {Ability.IMAGES: "text alone", Ability.SAME_IDS: "no weights"})
