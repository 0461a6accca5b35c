"""Those that look at load alone, and never at what is resident."""

from collections.abc import Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce


class RoundRobin(AtOnce):
    """Each node in turn."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._num_placed = 0

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        self._num_placed += 1
        return engines[self._num_placed % len(engines)]


class LeastLoaded(AtOnce):
    """The fewest turns, waiting and running."""

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        return self.least(engines, num_turns)


class PowerOfTwo(AtOnce):
    """The less loaded of two drawn independently, which may be one node twice: the textbook's rule.

    The reference table's figures come out with this.
    """

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        return self.least(self.draw(engines), num_turns)

    def draw(self, engines: Sequence[Engine]) -> Sequence[Engine]:
        return self.chance.choices(engines, k=2)


class PowerOfTwoDistinct(PowerOfTwo):
    """The less loaded of two different ones, as Ray Serve 2.60 draws them."""

    def draw(self, engines: Sequence[Engine]) -> Sequence[Engine]:
        return self.chance.sample(engines, min(2, len(engines)))


class LeastKv(AtOnce):
    """The smallest share of KV memory in use, by running turns and by those that wait."""

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        return self.least(engines, _kv_share)


def num_turns(engine: Engine) -> int:
    return len(engine.jobs)


def _kv_share(engine: Engine) -> float:
    return sum(job.kv_bytes for job in engine.jobs) / engine.node.kv_bytes
