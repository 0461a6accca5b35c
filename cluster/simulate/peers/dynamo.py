"""NVIDIA Dynamo's KV router at its defaults: overlap weight 1, temperature 0."""

from collections.abc import Sequence

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce


class Dynamo(AtOnce):
    """Fewest blocks to prefill, uncached and queued, plus blocks in decode.  Speeds do not enter.

    Blocks are counted in tokens here: a block is the same number of them on all nodes.
    """

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        return self.least(engines, lambda engine: _cost_tokens(job, engine))


def _cost_tokens(job: Job, engine: Engine) -> float:
    queued_tokens = sum(each.input_tokens - engine.hit_tokens(each) for each in engine.waiting)
    if engine.prefilling is not None:
        queued_tokens += engine.prefilling.input_tokens - engine.prefilling.hit_tokens
    decode_tokens = sum(each.input_tokens for each in engine.jobs) + job.input_tokens
    return job.input_tokens - engine.hit_tokens(job) + queued_tokens + decode_tokens
