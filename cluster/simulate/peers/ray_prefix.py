"""Ray Serve LLM's PrefixCacheAffinityRouter (Ray 2.60), with an imbalance threshold of 5.

Its default threshold is infinite: then it never looks at load.
"""

from collections.abc import Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.least import num_turns
from cluster.simulate.peers.tree import Tree

MATCH_SHARE = 0.1
UNEVEN_GAP = 5


class RayPrefix(AtOnce):
    """The best match of at least a tenth of the prompt, else the smallest tree.

    Where queues differ by the threshold or more, the shorter queue of two drawn by chance.
    """

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._tree = Tree()

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        chosen = self.least(self._candidates(job, engines), num_turns)
        self._tree.insert(job, chosen.node.name)
        return chosen

    def _candidates(self, job: Job, engines: Sequence[Engine]) -> Sequence[Engine]:
        loads = [num_turns(engine) for engine in engines]
        if max(loads) - min(loads) >= UNEVEN_GAP:
            return self.draw(engines)
        matches = [self._tree.match_tokens(job, engine.node.name) for engine in engines]
        if max(matches) >= MATCH_SHARE * job.input_tokens:
            return [engine for engine, match in zip(engines, matches, strict=True) if match == max(matches)]
        sizes = [self._tree.size_tokens(engine.node.name) for engine in engines]
        return [engine for engine, size in zip(engines, sizes, strict=True) if size == min(sizes)]

    def draw(self, engines: Sequence[Engine]) -> Sequence[Engine]:
        """Independently: the reference table's figures come out with this."""
        return self.chance.choices(engines, k=2)


class RayPrefixDistinct(RayPrefix):
    """Two different ones, as Ray itself draws them: it does better."""

    def draw(self, engines: Sequence[Engine]) -> Sequence[Engine]:
        return self.chance.sample(engines, min(2, len(engines)))
