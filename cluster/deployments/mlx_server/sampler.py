"""How the next tokens are chosen: by rank 0 for all sequences in one go, and told to the other ranks."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

MIN_TOP_P = 1e-6
"""At 0 no token would be left."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """`temperature` 0: always the likeliest token.  `seed` None: by chance."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    @property
    def penalises(self) -> bool:
        return bool(self.presence_penalty or self.frequency_penalty)


class Grammar(Protocol):
    fault: str
    """Why the form cannot be followed to its end; empty while it can."""

    def mask(self, answer: mx.array, num_logits: int) -> mx.array:
        """Which tokens may come after the ids of `answer` (booleans)."""
        ...


class Row:
    """One sequence's logits.  The batch generator calls it once a token, in the batch's order."""

    def __init__(
        self, sampler: "Sampler", sampling: Sampling, num_prompt: int, grammar: Grammar | None
    ) -> None:
        self._sampler, self._sampling = sampler, sampling
        self._num_prompt, self._grammar = num_prompt, grammar
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._key = mx.random.key(seed % 2**63)

    @property
    def is_greedy(self) -> bool:
        return self._sampling.temperature == 0

    def __call__(self, context: mx.array, logits: mx.array) -> mx.array:
        """`context`: ids of prompt and answer so far; `logits`: (1, vocabulary)."""
        self._sampler.rows.append(self)
        answer = context[self._num_prompt :]
        if self._sampling.penalises:
            logits = self._penalised(answer, logits)
        if self._grammar is not None:
            logits = mx.where(self._grammar.mask(answer, logits.shape[-1]), logits, -mx.inf)
        return logits

    def _penalised(self, answer: mx.array, logits: mx.array) -> mx.array:
        counts = mx.zeros((logits.shape[-1],), dtype=logits.dtype).at[answer].add(1)
        penalty = self._sampling.presence_penalty * (counts > 0) + self._sampling.frequency_penalty * counts
        return logits - penalty.astype(logits.dtype)

    def choose(self, logprobs: mx.array) -> mx.array:
        """(1, vocabulary) to (1,)."""
        if self.is_greedy:
            return mx.argmax(logprobs, axis=-1)
        wanted, logprobs = self._sampling, logprobs.astype(mx.float32)
        if 0 < wanted.top_k < logprobs.shape[-1]:
            logprobs = apply_top_k(logprobs, wanted.top_k)
        if wanted.top_p < 1:
            logprobs = apply_top_p(logprobs, max(wanted.top_p, MIN_TOP_P))
        if wanted.min_p > 0:
            logprobs = apply_min_p(logprobs, min(wanted.min_p, 1.0))
        self._key, key = mx.random.split(self._key)
        return mx.random.categorical(logprobs / wanted.temperature, key=key)


class Sampler:
    """Rank 0's.  `rows`: those of the batch that is being computed, noted by themselves."""

    def __init__(self, group: Any) -> None:  # noqa: ANN401
        self._group = group
        self.rows: list[Row] = []

    def __call__(self, logprobs: mx.array) -> mx.array:
        rows, self.rows = self.rows, []
        if all(row.is_greedy for row in rows):
            tokens = mx.argmax(logprobs, axis=-1)
        else:
            chosen = [row.choose(logprobs[place : place + 1]) for place, row in enumerate(rows)]
            tokens = mx.concatenate(chosen)
        tokens = tokens.astype(mx.int32)
        return tokens if self._group is None else mx.distributed.all_sum(tokens, group=self._group)


def follower(group: Any) -> Callable[[mx.array], mx.array]:  # noqa: ANN401
    """Takes what rank 0 chose: adds nothing to it."""

    def take(logprobs: mx.array) -> mx.array:
        nothing = mx.zeros((logprobs.shape[0],), dtype=mx.int32)
        # The exchange has to come after those of the model, as it does on rank 0.
        (nothing,) = mx.depends([nothing], [logprobs])
        return mx.distributed.all_sum(nothing, group=group)

    return take
