"""What can be varied."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.harness.options import BenchSettings
from bench.policies.reference import SESSIONS
from cluster.simulate.engine import DEVICES
from cluster.simulate.lab import LABS
from cluster.simulate.peers import PEERS

Count = Annotated[int, Field(ge=1)]


class PoliciesSettings(BenchSettings):
    """`data`: a trace of agent sessions; None: made ones.  The reference's own are public, and not here."""

    data_help: ClassVar[str | None] = "a trace of agent sessions instead of made ones"

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    lab: Annotated[str, Field(pattern=f"^({'|'.join(LABS)})$")] = "five-nodes"
    turns: Count = 6000
    sessions: tuple[Count, ...] = SESSIONS
    devices: tuple[Annotated[str, Field(pattern=f"^({'|'.join(DEVICES)})$")], ...] = tuple(DEVICES)
    policies: tuple[Annotated[str, Field(pattern=f"^({'|'.join(PEERS)})$")], ...] = tuple(PEERS)


QUICK: Mapping[str, Any] = {"seeds": (1,), "turns": 200, "sessions": (12,), "devices": ("shared",)}
"""Enough to see that everything works; its figures say little."""
