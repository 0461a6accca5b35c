"""sglang-router and vllm-router, `cache_aware` with the defaults of sglang-router 0.3.2."""

from collections.abc import Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.least import num_turns
from cluster.simulate.peers.tree import Tree

MATCH_SHARE = 0.3
UNEVEN_GAP, UNEVEN_RATIO = 64, 1.5


class SGLang(AtOnce):
    """The best match where it is over 0.3 of the prompt, else the smallest tree.

    Where loads are uneven, by a gap of more than 64 turns and by half, the shortest queue.
    """

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._tree = Tree()

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        chosen = self._chosen(job, engines)
        self._tree.insert(job, chosen.node.name)
        return chosen

    def _chosen(self, job: Job, engines: Sequence[Engine]) -> Engine:
        loads = [num_turns(engine) for engine in engines]
        if max(loads) - min(loads) > UNEVEN_GAP and max(loads) > UNEVEN_RATIO * min(loads):
            return self.least(engines, num_turns)
        best = self.least(engines, lambda engine: -self._tree.match_tokens(job, engine.node.name))
        if self._tree.match_tokens(job, best.node.name) > MATCH_SHARE * job.input_tokens:
            return best
        return self.least(engines, lambda engine: self._tree.size_tokens(engine.node.name))
