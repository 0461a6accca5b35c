"""Seconds of prefill and of an answer, at one node.  After the reference simulation's models of engines."""

from cluster.core.mind.views import Pace

WEIGHTS_READ_CAP = 3
"""Sequences of a batch choose different experts, but beyond three the weights read grow little more."""


def prefill_s(pace: Pace, hit_tokens: float, new_tokens: float) -> float:
    """Of `new_tokens` behind `hit_tokens`, undisturbed."""
    depth = (hit_tokens + new_tokens / 2) / pace.depth_tokens
    return new_tokens / pace.prefill_tokens_per_s * (1 + depth)


def token_s(pace: Pace, batch: float, batch_tokens: float) -> float:
    """A step of `batch` sequences, 1 or more, that hold `batch_tokens` together: a token for each."""
    weights_s = pace.weights_s * min(batch, WEIGHTS_READ_CAP)
    return pace.step_s + weights_s + pace.kv_s_per_token * batch_tokens
