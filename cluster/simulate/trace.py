"""Sessions as they are replayed: how long each prompt is, and how much of it was there before."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """`think_s`: from the last answer (or the session's start) until this turn arrives.

    `input_tokens`: the whole prompt.  `kept_tokens`: how much of its beginning equals the turn before, input
    and output taken together: what can be resident at most.
    """

    think_s: float
    input_tokens: int
    output_tokens: int
    kept_tokens: int


@dataclass(frozen=True, slots=True)
class Session:
    """In the order of its turns."""

    name: str
    turns: Sequence[Turn]
