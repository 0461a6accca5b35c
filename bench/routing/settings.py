"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.harness.options import BenchSettings
from cluster.simulate.engine import DEVICES
from cluster.simulate.lab import LABS
from cluster.simulate.policies import POLICIES

Count = Annotated[int, Field(ge=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Policy = Annotated[str, Field(pattern=f"^({'|'.join(POLICIES)})$")]


class RoutingSettings(BenchSettings):
    """`data`: a trace of agent sessions; None: made ones.  `ours`: the policy that is compared.

    `memory_error`, `speed_error`: how wrong the beliefs of a second run of everything are, on the first
    device; none where both are 0.
    """

    data_help: ClassVar[str | None] = "a trace of agent sessions instead of made ones"

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    labs: tuple[Annotated[str, Field(pattern=f"^({'|'.join(LABS)})$")], ...] = tuple(LABS)
    sessions: tuple[Count, ...] = (12, 24, 48)
    turns: Count = 6000
    policies: tuple[Policy, ...] = tuple(POLICIES)
    ours: Policy = "router"
    devices: tuple[Annotated[str, Field(pattern=f"^({'|'.join(DEVICES)})$")], ...] = tuple(DEVICES)
    memory_error: Part = 0.0
    speed_error: Part = 0.0


QUICK: Mapping[str, Any] = {"seeds": (1,), "turns": 200, "sessions": (12,), "devices": ("shared",)}
"""Enough to see that everything works; its figures say little."""
