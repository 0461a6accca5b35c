"""How many sequences an engine holds at once, where nobody says, and what it gives up to make room."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.core.layout import EngineKind, ModelWish, Variant

DEFAULT_SLOTS: Mapping[EngineKind, int] = {
    EngineKind.LLAMACPP: 4,
    EngineKind.VLLM: 16,
    EngineKind.MLX: 16,
    EngineKind.FAKE: 4,
}
"""Sequences at once, where nobody says how many and there is room."""

LLAMACPP_CHECKPOINTS = 3
"""Earlier states that a slot may go back to, in main memory, where a model has windows or states: without one
a prompt that does not just go on is computed from its start.  llama.cpp's own number is 32: 19 GiB with 4
slots of a hybrid model of 27B."""

_STEPS = (16, 12, 8, 6, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Slots:
    """`num_slots` sequences at once, each with so many earlier states to go back to."""

    num_slots: int
    num_checkpoints: int


def most_slots(engine: EngineKind, written: int | None) -> int:
    """As the owner wrote, else the engine's usual number."""
    return written or DEFAULT_SLOTS[engine]


def usual_slots(engine: EngineKind) -> Slots:
    """Where nobody says and there is room."""
    return Slots(DEFAULT_SLOTS[engine], LLAMACPP_CHECKPOINTS if engine is EngineKind.LLAMACPP else 0)


def choices(wish: ModelWish, variant: Variant, engine: EngineKind) -> tuple[Slots, ...]:
    """The better first: fewer slots, then fewer checkpoints.

    Slots that the owner wrote are kept, and as many as the context that the owner wrote needs.
    """
    most, usual = most_slots(engine, wish.slots), usual_slots(engine).num_checkpoints
    needed = -(-(wish.context_tokens or 1) // max(variant.window_tokens, 1))
    fewest = most if wish.slots else min(needed, most)
    numbers = [most, *(num for num in _STEPS if fewest <= num < most)]
    in_slots = [Slots(num, usual) for num in numbers]
    return (*in_slots, *(Slots(numbers[-1], num) for num in reversed(range(usual))))
