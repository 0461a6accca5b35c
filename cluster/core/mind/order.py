"""Whose prefill goes on: people before background work, then the shortest, and waiting makes shorter.

A tenant of whom much runs already counts as longer: each of several waits as if it had fewer machines.
"""

from collections import Counter
from collections.abc import Iterable

from cluster.core.mind.views import Kind, NodeView
from cluster.core.mind.weights import Weights

Key = tuple[Kind, float]
"""The smaller goes first."""


def key(left_prefill_s: float, waited_s: float, kind: Kind, weights: Weights, num_theirs: int = 0) -> Key:
    """`num_theirs`: turns of the same tenant that run now."""
    long_s = (left_prefill_s + weights.key_floor_s) * (1 + num_theirs)
    return kind, long_s / (1 + waited_s / weights.age_s)


def num_running(nodes: Iterable[NodeView]) -> Counter[str]:
    """By tenant."""
    return Counter(each.tenant for node in nodes for each in node.running)
