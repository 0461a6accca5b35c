"""The router's own policy behind the seam: what `cluster.core.mind` decides, for engines that are not there.

Unlike the others it says in which order prefill goes on.  It sees no more than they: lengths of answers,
think times and ends of sessions are expected from what was, never read from the trace.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from cluster.core.mind.order import Key, key
from cluster.core.mind.plan import plan
from cluster.core.mind.rehearse import rehearsals
from cluster.core.mind.views import Kind
from cluster.core.mind.weights import DEFAULT, Weights
from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.policy import Arrived, Event, Finished, Order, Place, Rehearse
from cluster.simulate.sight import Sight


class Cost:
    """A turn waits here until the node that is cheapest for it would begin it."""

    wake_s = math.inf

    def __init__(
        self,
        weights: Weights = DEFAULT,
        *,
        rehearses: bool = False,
    ) -> None:
        self.orders = ShortestFirst(self)
        self.sight = Sight()
        self.weights = weights
        self._rehearses = rehearses
        self._waiting: dict[int, Job] = {}

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]:
        self.sight.see(event, engines, now)
        match event:
            case Arrived(job):
                self._waiting[job.number] = job
            case _:
                pass
        placed = self._place(now)
        if self._rehearses and not placed and isinstance(event, Finished):
            return self._rehearse(now)
        return placed

    def _rehearse(self, now: float) -> list[Rehearse]:
        free = self.sight.free()
        if not free:
            return []
        thinkers, nodes = self.sight.thinkers(self.wanted(), now), self.sight.nodes(self.wanted(), now)
        return [
            Rehearse(self.sight.rehearsed(each.turn.session, each.node, now), each.node)
            for each in rehearsals(thinkers, nodes, free, self.weights)
        ]

    def _place(self, now: float) -> list[Place]:
        """One after the other: each changes what the rest see."""
        if not self._waiting:
            return []
        turns = [self.sight.turn(job, now) for job in self._waiting.values()]
        nodes = self.sight.nodes({job.session for job in self._waiting.values()}, now)
        placed: list[Place] = []
        for decision in plan(turns, nodes, self.weights):
            if decision.goes:
                job = self._waiting.pop(decision.choice.turn.turn)
                placed.append(Place(job, decision.choice.node))
        return placed

    def wanted(self) -> set[str]:
        return {job.session for job in self._waiting.values()}


class ShortestFirst:
    """How nodes work for it: the shortest prefill goes on first, in chunks; waiting makes shorter."""

    def __init__(self, policy: Cost) -> None:
        self._policy = policy

    def next(self, waiting: Sequence[Job], fits: Callable[[Job], bool], now: float) -> Job | None:
        able = [job for job in waiting if fits(job)]
        return min(able, key=lambda job: self._key(job, now), default=None)

    def chunk_s(self, job: Job) -> float:
        return self._policy.weights.chunk_s

    def victims(self, job: Job, idle: Sequence[str], now: float) -> Iterable[str]:
        return self._policy.sight.ranked(job.node, idle, self._policy.wanted())

    def _key(self, job: Job, now: float) -> Key:
        return key(
            self._policy.sight.left_prefill_s(job), now - job.arrived_s, Kind.PERSON, self._policy.weights
        )
