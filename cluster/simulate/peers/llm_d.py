"""llm-d's inference scheduler: prefix, queue and KV scorers with the weights 3 : 2 : 2."""

from collections.abc import Callable, Sequence
from random import Random

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.least import num_turns

PREFIX_WEIGHT, QUEUE_WEIGHT, KV_WEIGHT = 3, 2, 2


class LlmD(AtOnce):
    """The highest sum: the share of the prompt that is resident; the queue, 1 for the shortest of all nodes
    and 0 for the longest; the share of KV memory that running turns leave."""

    def __init__(self, chance: Random, queue: Callable[[Engine], int]) -> None:
        super().__init__(chance)
        self._queue = queue

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        queues = [self._queue(engine) for engine in engines]
        shortest, longest = min(queues), max(queues)

        def score(engine: Engine) -> float:
            spread = longest - shortest
            queue = (longest - self._queue(engine)) / spread if spread else 1.0
            kv_left = 1 - engine.memory.running_bytes / engine.memory.capacity_bytes
            prefix = engine.hit_tokens(job) / job.input_tokens
            return PREFIX_WEIGHT * prefix + QUEUE_WEIGHT * queue + KV_WEIGHT * kv_left

        return self.least(engines, lambda engine: -score(engine))


def queue_of_all(engine: Engine) -> int:
    return num_turns(engine)


def queue_of_prefill(engine: Engine) -> int:
    """Waiting for prefill, or in it."""
    return len(engine.waiting) + (engine.prefilling is not None)
