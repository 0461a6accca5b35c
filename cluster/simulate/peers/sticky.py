"""A session stays where its first turn went: to the node with the fewest turns."""

from collections.abc import Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.least import num_turns


class Sticky(AtOnce):
    """A turn that its session's node could never hold moves the session."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._homes: dict[str, str] = {}

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        home = [engine for engine in engines if engine.node.name == self._homes.get(job.session)]
        chosen = home[0] if home else self.least(engines, num_turns)
        self._homes[job.session] = chosen.node.name
        return chosen
