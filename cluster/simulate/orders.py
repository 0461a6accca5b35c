"""In which order a node works: whose prefill goes on, for how long, and who gives up memory."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from cluster.simulate.job import Job


class Orders(Protocol):
    """A policy brings it: asked by a node whenever that could begin or go on with a prefill."""

    def next(self, waiting: Sequence[Job], fits: Callable[[Job], bool], now: float) -> Job | None:
        """One of `waiting`; None: none for now.

        Those that have begun come first and always fit; the others stand in the order in which they came.
        """
        ...

    def chunk_s(self, job: Job) -> float:
        """Seconds of undisturbed prefill until `next` is asked again."""
        ...

    def victims(self, job: Job, idle: Sequence[str], now: float) -> Iterable[str]:
        """Sessions in the order in which they lose their tails, for `job` to begin on its node.

        `idle`: none of their turns runs, the longest unused first.  Its next turn may wait here.
        """
        ...


class Stock:
    """What engines do by themselves: first come, first served, whole, least recently used out first.

    The first waits until it fits, and all others behind it.
    """

    def next(self, waiting: Sequence[Job], fits: Callable[[Job], bool], now: float) -> Job | None:
        return waiting[0] if fits(waiting[0]) else None

    def chunk_s(self, job: Job) -> float:
        return math.inf

    def victims(self, job: Job, idle: Sequence[str], now: float) -> Iterable[str]:
        return idle
