"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.harness.options import BenchSettings

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class DecisionsSettings(BenchSettings):
    """`replicas` and `sessions`: the smaller home; `many_*`: the larger one.  `models`: replicas take them in
    turn.  `turns`: measured in each home, after `warm_turns`.

    `memory_share`: KV memory over what the sessions would hold.  `busy`: the mean share of slots with a turn;
    turns come in waves, by `wave` more and less than that.  `naive_turns`: measured with the naive scan, in
    the smaller home; 0: without it.
    """

    data_help: ClassVar[str | None] = None
    data: None = None

    replicas: Count = 64
    sessions: Count = 5000
    many_replicas: Count = 1000
    many_sessions: Count = 100_000
    models: Count = 4
    turns: Count = 4000
    warm_turns: Count = 2000
    naive_turns: Annotated[int, Field(ge=0)] = 1000
    memory_share: Positive = 0.8
    busy: Positive = 0.5
    wave: Annotated[float, Field(ge=0, lt=1)] = 0.5


QUICK: Mapping[str, Any] = {
    "replicas": 8,
    "sessions": 400,
    "many_replicas": 16,
    "many_sessions": 800,
    "turns": 300,
    "warm_turns": 100,
    "naive_turns": 100,
}
"""Enough to see that everything works; its figures say little."""
