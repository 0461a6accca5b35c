"""Whose prefill goes on: people before background work, then the shortest, and waiting makes shorter."""

from cluster.core.mind.views import Kind
from cluster.core.mind.weights import Weights

Key = tuple[Kind, float]
"""The smaller goes first."""


def key(left_prefill_s: float, waited_s: float, kind: Kind, weights: Weights) -> Key:
    return kind, (left_prefill_s + weights.key_floor_s) / (1 + waited_s / weights.age_s)
