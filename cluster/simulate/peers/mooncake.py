"""Mooncake's conductor (FAST'25), its greedy rule."""

from collections.abc import Sequence

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.estimate import ttft_s


class MooncakeGreedy(AtOnce):
    """The earliest first token by estimate: the queue, and the prefill of what is not resident."""

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        return self.least(engines, lambda engine: ttft_s(engine, job))
