"""Prompts made from a seed, for where no trace is at hand.

Each quantity is drawn from a table of quantiles, measured on an hour of public conversations
(kvcache-ai/Mooncake, Apache-2.0): between two of them the logarithm is uniform.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from math import exp, log
from random import Random

from cluster.simulate.blocks.prompt import BLOCK_TOKENS, Prompt

SPAN_S = 3537.0
SESSIONS_PER_S = 7373 / SPAN_S

SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""The share of all below each number of a row."""

FIRST_TOKENS = (891, 894, 905, 1336, 5264, 13056, 25561, 89869, 126195)
NEW_TOKENS = (1, 1, 63, 260, 471, 831, 4605, 17031, 91918)
"""That a turn adds to the prompt before."""

OUTPUT_TOKENS = (1, 3, 24, 156, 350, 472, 597, 1120, 2000)
GAP_S = (0.1, 12.0, 42.0, 66.0, 123.0, 264.0, 483.0, 1482.0, 3030.0)
"""Between the arrivals of two turns."""

SECOND_TURN_SHARE, NEXT_TURN_SHARE = 0.306, 0.515
"""Of the sessions: those that have a second turn; of each later turn: that another follows."""

FORK_SHARE = 0.15
"""Of the later turns: an earlier turn is edited, and the conversation goes on from there."""

FORK_KEPT = (0.015, 0.031, 0.068, 0.111, 0.214, 0.453, 0.833, 0.957, 0.986)
"""The share of the prompt before that a fork keeps."""

FORK_RATIO = (0.174, 0.284, 0.609, 0.788, 0.993, 1.109, 1.385, 2.827, 7.721)
"""A forked prompt's length to that of the prompt before."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Which heads sessions share: `head_share` of them begin with one of `num_heads`, the n-th 1/n times as
    often as the first (Zipf), each `head_tokens` long at the median."""

    num_heads: int
    head_share: float
    head_tokens: Sequence[float]


MIXES: Mapping[str, Mix] = {
    "conversations": Mix(20, 0.02, FIRST_TOKENS),
    "agents": Mix(20, 1.0, (15_000,) * len(SHARES)),
}
"""`conversations`: strangers, as recorded; 20 heads of this share have its most repeated prompts (43 times).
`agents`: the same people behind tools and a system prompt, 15,000 tokens as coding agents have them; ours."""


def made_prompts(mix: Mix, seed: int) -> list[Prompt]:
    """Those of `SPAN_S` seconds, by arrival.  Sessions that begin late are cut, as in a recording."""
    maker = _Maker(mix, Random(seed))
    prompts: list[Prompt] = []
    at_s = maker.chance.expovariate(SESSIONS_PER_S)
    while at_s < SPAN_S:
        prompts.extend(maker.session(at_s))
        at_s += maker.chance.expovariate(SESSIONS_PER_S)
    return sorted(prompts, key=lambda prompt: prompt.at_s)


class _Maker:
    """Block 0 begins every prompt."""

    def __init__(self, mix: Mix, chance: Random) -> None:
        self.chance = chance
        self._mix, self._ids = mix, count(1)
        lengths = (round(self._draw(mix.head_tokens)) for _ in range(mix.num_heads))
        self._heads = [self._grown((0,), BLOCK_TOKENS, length) for length in lengths]
        self._weights = list(accumulate(1 / (number + 1) for number in range(mix.num_heads)))

    def session(self, at_s: float) -> Iterator[Prompt]:
        head = self._head()
        kept_tokens = len(head) * BLOCK_TOKENS
        blocks, tokens = head, kept_tokens + round(self._draw(FIRST_TOKENS))
        share = SECOND_TURN_SHARE
        while at_s < SPAN_S:
            blocks = self._grown(blocks, kept_tokens, tokens)
            yield Prompt(at_s, tokens, round(self._draw(OUTPUT_TOKENS)), blocks)
            if self.chance.random() >= share:
                break
            share = NEXT_TURN_SHARE
            at_s += self._draw(GAP_S)
            kept_tokens, tokens = self._next(tokens, len(head) * BLOCK_TOKENS)

    def _next(self, tokens: int, head_tokens: int) -> tuple[int, int]:
        """What is kept of the prompt before, and how long the next one is."""
        if self.chance.random() >= FORK_SHARE:
            return tokens, tokens + round(self._draw(NEW_TOKENS))
        own = tokens - head_tokens
        kept = head_tokens + round(own * self._draw(FORK_KEPT))
        return kept, max(kept + 1, head_tokens + round(own * self._draw(FORK_RATIO)))

    def _head(self) -> tuple[int, ...]:
        if self.chance.random() >= self._mix.head_share:
            return (0,)
        return self.chance.choices(self._heads, cum_weights=self._weights)[0]

    def _grown(self, blocks: Sequence[int], kept_tokens: int, tokens: int) -> tuple[int, ...]:
        """The whole blocks of what is kept, then new ones; the last may not be full."""
        kept = tuple(blocks[: min(kept_tokens, tokens) // BLOCK_TOKENS])
        return (*kept, *(next(self._ids) for _ in range(-(-tokens // BLOCK_TOKENS) - len(kept))))

    def _draw(self, row: Sequence[float]) -> float:
        share = self.chance.random()
        at = min(bisect_right(SHARES, share), len(SHARES) - 1) - 1
        part = (share - SHARES[at]) / (SHARES[at + 1] - SHARES[at])
        return exp(log(row[at]) * (1 - part) + log(row[at + 1]) * part)
