"""What the index of prefixes costs: time of a look-up and of an insert, bytes of a block."""

import gc
import time
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median

from bench.harness.numbers import quantile
from cluster.core.ids import ReplicaId
from cluster.core.prefixes.index import PrefixIndex

NUM_REPLICAS = 64
NUM_TURNS = 8
HEAD_BLOCKS = 30
"""That all sessions share: some 15,000 tokens of system prompt and tools in blocks of 512."""


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """`find_us`: medians, of a whole session's prompt, held by one of 64 replicas, its head by all.
    `insert_us`: of its next turn.  `evict_us_per_block`: when one replica loses all it holds."""

    num_blocks: int
    bytes_per_block: float
    find_us: float
    find_p99_us: float
    insert_us: float
    insert_p99_us: float
    evict_us_per_block: float


def measure_index(num_sessions: int, session_blocks: int) -> IndexFigures:
    """Each session grows in 8 turns, all sessions in turns, each on its own replica of 64."""
    prompts = [_prompt(number, session_blocks) for number in range(num_sessions)]
    gc.collect()
    tracemalloc.start()
    index, _ = _filled(prompts, is_timed=False)
    num_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    num_blocks = sum(index.num_blocks(replica) for replica in _replicas())
    del index
    index, insert_us = _filled(prompts, is_timed=True)
    find_us = [_timed_us(lambda prompt=prompt: index.find(prompt)) for prompt in prompts]
    lost = _replicas()[0]
    num_lost = index.num_blocks(lost)
    evict_us = _timed_us(lambda: index.evict(lost, num_lost)) / num_lost
    return IndexFigures(
        num_blocks=len(prompts) * session_blocks,
        bytes_per_block=round(num_bytes / num_blocks, 2),
        find_us=round(median(find_us), 2),
        find_p99_us=round(quantile(find_us, 0.99), 2),
        insert_us=round(median(insert_us), 2),
        insert_p99_us=round(quantile(insert_us, 0.99), 2),
        evict_us_per_block=round(evict_us, 4),
    )


def _filled(prompts: list[Sequence[int]], *, is_timed: bool) -> tuple[PrefixIndex, list[float]]:
    """And, where asked for, the microseconds of each session's last insert."""
    index = PrefixIndex()
    for replica in _replicas():
        index.add(replica, sum(map(len, prompts)))
    turns = [len(prompts[0]) * (number + 1) // NUM_TURNS for number in range(NUM_TURNS)]
    took_us: list[float] = []
    for end in turns:
        for prompt, replica in zip(prompts, cycle(_replicas()), strict=False):
            hashes = prompt[:end]
            if is_timed and end == turns[-1]:
                took_us.append(_timed_us(lambda: index.insert(replica, hashes)))  # noqa: B023 - called at once
            else:
                index.insert(replica, hashes)
    return index, took_us


def _prompt(number: int, num_blocks: int) -> Sequence[int]:
    head = range(min(HEAD_BLOCKS, num_blocks))
    own = range((number + 1) << 32, ((number + 1) << 32) + num_blocks - len(head))
    return array("Q", (*head, *own))


def _replicas() -> list[ReplicaId]:
    return [ReplicaId(f"replica-{number}") for number in range(NUM_REPLICAS)]


def _timed_us(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6
