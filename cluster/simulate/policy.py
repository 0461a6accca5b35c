"""The seam between the lab and whoever decides: events in, placements and evictions out.

A policy is told of every event and says in answer which turns run where.  It may keep a turn as long as it
likes and place it in answer to any later event; `wake_s` asks for one.  It sees the engines as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.orders import Orders


@dataclass(frozen=True, slots=True)
class Arrived:
    """A turn wants a place."""

    job: Job


@dataclass(frozen=True, slots=True)
class Began:
    """Its prefill began."""

    job: Job


@dataclass(frozen=True, slots=True)
class SaidFirst:
    """Its first token is there."""

    job: Job


@dataclass(frozen=True, slots=True)
class Finished:
    """Its answer is whole.  `is_last`: the session will not come back, which nobody can know in advance."""

    job: Job
    is_last: bool


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that a policy asked for with `wake_s` has come."""


Event = Arrived | Began | SaidFirst | Finished | Woke


@dataclass(frozen=True, slots=True)
class Place:
    """This turn runs on the node of this name, which must be able to hold it.

    A turn that waits at another node and has not begun there is taken back and moves.
    """

    job: Job
    node: str


@dataclass(frozen=True, slots=True)
class Evict:
    """What the session has left on the node of this name is forgotten, unless its next turn runs there."""

    session: str
    node: str


@dataclass(frozen=True, slots=True)
class Rehearse:
    """This node, where nothing runs, prefills what a session will want, as `job`, which has no answer.

    It ends when a turn is placed there, or when the session's own turn comes.
    """

    job: Job
    node: str


Order = Place | Evict | Rehearse


class Policy(Protocol):
    """`orders`: in which order all nodes work."""

    @property
    def orders(self) -> Orders: ...

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]: ...

    @property
    def wake_s(self) -> float:
        """When to be told `Woke`; inf for never.  Read after each event."""
        ...
