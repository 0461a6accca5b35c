"""Which loaded model makes room for another, and when.  The policy is a seam: a function of its arguments.

`batched` is the rule of the pool.  A swap costs the seconds of a load, in which a place in memory does
nothing.  So a loaded model keeps serving its turns for a quantum of QUANTUM_LOADS loads: of the time of
one place at most 1 / (1 + QUANTUM_LOADS) is lost to loading, while the bound below allows it.  An idle
model goes at once, unless there is thrash: then it too keeps its quantum, until it has been idle for
IDLE_LOADS loads: whoever uses two models in turn does not wait for turns that cannot come.

The bound.  A turn whose model is not loaded waits for the start of a swap (from then its victims take no
new turns) for at most

    swap_wait_s + ceil((ahead + 1) / places) * (drain_s + unload_s + load_s + FRESH_SHARE * swap_wait_s)

`places`: models that could make room, each alone.  `ahead`: models not loaded whose turns have waited
longer.  `drain_s`: the longest turn in flight at a victim, which nothing cuts short.  It is `swap_wait_s`
alone wherever a model that could make room has been ready for FRESH_SHARE * swap_wait_s by then: with
places for all models but one, and two places or more, always.  After the start come drain, unload and
load.  The clock of the bound begins when the turn arrives, or when its model was closed, if later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Protocol

from cluster.core.ids import DeploymentId

QUANTUM_LOADS = 8.0
"""A model serves for so many times the load that replaces it."""

IDLE_LOADS = 3.0
"""In thrash an idle model is kept for so many times the load that replaces it, its next turn being likely."""

FRESH_SHARE = 0.25
"""A model that has just become ready is not closed within this share of the bound, whoever waits."""

THRASH_WINDOW_S = 600.0
THRASH_SWAPS = 3
THRASH_SHARE = 0.1
"""Thrash: so many swaps in the window, and so much of the time since the first of them lost to them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A deployment that is not loaded.  `since`: how long its oldest turn has been waiting for that.

    `arrived_at`: when that turn arrived.  `by_turn` False: a person or its `keep_warm` wants it; then only
    idle models make room.
    """

    deployment: DeploymentId
    since: float
    load_s: float
    by_turn: bool
    arrived_at: float


@dataclass(frozen=True, slots=True)
class Held:
    """A deployment that is loaded, and could make room.

    `value`: see `value`.  `oldest_arrival`: of its waiting turns, None where none waits.  `num_running`:
    its turns in flight.  `used_at`: the last time it had a turn.
    """

    deployment: DeploymentId
    priority: int
    value: float
    ready_at: float
    used_at: float
    num_running: int
    oldest_arrival: float | None

    @property
    def busy(self) -> bool:
        return self.num_running > 0 or self.oldest_arrival is not None


@dataclass(frozen=True, slots=True)
class Going:
    """`at`: when it may be closed, `inf`: not for this one."""

    deployment: DeploymentId
    at: float


class SwapPolicy(Protocol):
    def __call__(
        self, wanted: Wanted, held: Sequence[Held], thrash: bool, swap_wait_s: float, now: float
    ) -> Sequence[Going]:
        """All of `held`, those that rather go first."""
        ...


def batched(
    wanted: Wanted, held: Sequence[Held], thrash: bool, swap_wait_s: float, now: float
) -> list[Going]:
    """Idle before busy, then by priority, then by value; busy ones after their quantum or at the bound."""
    goings = ((each, _batched_at(wanted, each, thrash, swap_wait_s, now)) for each in held)
    ranked = sorted(goings, key=lambda pair: (max(pair[1], now), pair[0].busy, *_rank(pair[0])))
    return [Going(each.deployment, at) for each, at in ranked]


def _batched_at(wanted: Wanted, held: Held, thrash: bool, swap_wait_s: float, now: float) -> float:
    if not held.busy and not (thrash and wanted.by_turn):
        return now
    if not wanted.by_turn:
        return inf
    served_s = quantum_s(wanted.load_s, swap_wait_s)
    fresh_s = min(served_s, FRESH_SHARE * swap_wait_s)
    closed_at = max(min(held.ready_at + served_s, wanted.since + swap_wait_s), held.ready_at + fresh_s)
    return closed_at if held.busy else min(closed_at, _idle_since(held) + IDLE_LOADS * wanted.load_s)


def _idle_since(held: Held) -> float:
    return max(held.ready_at, held.used_at)


def first_come(
    wanted: Wanted, held: Sequence[Held], thrash: bool, swap_wait_s: float, now: float
) -> list[Going]:
    """Strictly in order of arrival: whoever has no turn that arrived earlier goes, the least recently used
    first.  It is here to be compared with."""
    ranked = sorted(held, key=lambda each: (each.busy, each.used_at, each.deployment))
    goings = [Going(each.deployment, now if _later(wanted, each) else inf) for each in ranked]
    return sorted(goings, key=lambda going: going.at)


def _later(wanted: Wanted, held: Held) -> bool:
    if not wanted.by_turn:
        return not held.busy
    return held.oldest_arrival is None or held.oldest_arrival > wanted.arrived_at


def _rank(held: Held) -> tuple[int, float, float, DeploymentId]:
    return held.priority, held.value, held.used_at, held.deployment


def quantum_s(load_s: float, swap_wait_s: float) -> float:
    """How long a loaded model serves its turns before one that takes `load_s` to load may replace it."""
    return min(QUANTUM_LOADS * load_s, swap_wait_s)


def value(demand: float, load_s: float, resident_prefill_s: float) -> float:
    """Seconds that unloading an idle model is expected to cost: its load and the prefill of the sessions
    that lose their prefix, as often as it is wanted of late."""
    return demand * (load_s + resident_prefill_s)


def thrashing(swaps: Iterable[tuple[float, float]], now: float) -> bool:
    """Whether too much time is lost to swaps, each (when, seconds of loading)."""
    late = [(at, lost_s) for at, lost_s in swaps if now - at <= THRASH_WINDOW_S]
    if len(late) < THRASH_SWAPS:
        return False
    return sum(lost_s for _, lost_s in late) >= THRASH_SHARE * (now - min(at for at, _ in late))


def bound_s(
    swap_wait_s: float, drain_s: float, unload_s: float, load_s: float, places: int, ahead: int = 0
) -> float:
    """The longest wait for the start of a swap: see the head of this file."""
    rounds = ceil((ahead + 1) / places)
    return swap_wait_s + rounds * (drain_s + unload_s + load_s + FRESH_SHARE * swap_wait_s)


POLICIES: Mapping[str, SwapPolicy] = {"batched": batched, "first-come": first_come}
"""By the names of `hearth.yaml`."""
