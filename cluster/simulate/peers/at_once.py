"""The base of all peers: a turn is placed when it arrives, and engines work as they do by themselves."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.orders import Stock
from cluster.simulate.policy import Arrived, Event, Place


class AtOnce(ABC):
    wake_s = math.inf
    orders = Stock()

    def __init__(self, chance: Random) -> None:
        self.chance = chance

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Place]:
        match event:
            case Arrived(job):
                able = [each for each in engines.values() if each.holds(job)]
                return (Place(job, self.choose(job, able).node.name),)
            case _:
                return ()

    @abstractmethod
    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        """One of `engines`, all of which could hold the job."""

    def least(self, engines: Sequence[Engine], cost: Callable[[Engine], float]) -> Engine:
        """The cheapest; by chance among equals."""
        costs = [cost(engine) for engine in engines]
        cheapest = min(costs)
        return self.chance.choice(
            [engine for engine, one in zip(engines, costs, strict=True) if one <= cheapest]
        )
