"""Agent sessions made from a seed, for where no trace is at hand.

Each quantity is drawn from a table of quantiles, measured on 396 public sessions of a coding agent
(callanjfox/kv-cache-tester, Apache-2.0): between two of them the logarithm is uniform.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import exp, log
from random import Random

from cluster.simulate.trace import Session, Turn
from cluster.simulate.traces import MOST_THINK_S

BLOCK_TOKENS = 64
"""A prefix is kept in whole blocks."""

SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""The share of all below each number of a row."""

FIRST_TOKENS = (6343, 9837, 15591, 18847, 23836, 106852, 261659, 782605, 845868)
"""Of a session's first prompt."""

FIRST_SMALL_SHARE = 0.86
"""Of the first prompts: below the smaller of the windows that follow."""


SMALL_WINDOW_TOKENS, LARGE_WINDOW_TOKENS, SMALL_SHARE = 188_953, 894_371, 0.75
"""Three in four sessions never had a longer prompt than the first, none than the second: what agents allow
themselves.  A session that would grow beyond is compacted."""

NUM_TURNS = (3, 3, 6, 16, 44, 92, 152, 350, 514)
LEAST_TURNS = NUM_TURNS[0]
LARGE_FIRST_TOKENS, LARGE_TURNS_RATIO = 106_852, 17 / 44
"""The quarter of the sessions that begin largest have 17 turns at the median, all have 44."""

NEW_TOKENS = (18, 142, 226, 365, 686, 1580, 3513, 15642, 235102)
"""That a turn adds behind what it keeps, the answer before included."""

OUTPUT_TOKENS = (1, 58, 103, 138, 217, 434, 912, 3625, 18195)
THINK_S = (0.5, 2.0, 4.0, 6.0, 10.0, 35.0, 174.0, 3118.0, MOST_THINK_S)

REWRITE_SHARE = 0.0185
"""Of the turns: an agent compacts or edits its context."""

REWRITTEN_RATIO = (0.03, 0.11, 0.22, 0.61, 1.0, 1.02, 1.25, 5.24, 20.8)
"""The prompt's length after a rewrite, to that before."""

COMPACTED_RATIO = 0.61
"""The same, where one is compacted for want of room: as the quarter that shorten most."""

REWRITTEN_KEPT = (0.002, 0.005, 0.01, 0.077, 0.109, 0.204, 0.419, 0.747, 0.892)
"""The share of the prompt before that a rewrite keeps."""


def synthetic_sessions(seed: int) -> Iterator[Session]:
    """Without end."""
    chance = Random(seed)
    number = 0
    while True:
        yield Session(f"made-{number}", _turns(chance))
        number += 1


def _turns(chance: Random) -> list[Turn]:
    input_tokens = round(_draw(FIRST_TOKENS, chance))
    is_small = input_tokens < SMALL_WINDOW_TOKENS and chance.random() < SMALL_SHARE / FIRST_SMALL_SHARE
    most_tokens = SMALL_WINDOW_TOKENS if is_small else LARGE_WINDOW_TOKENS
    turns = [Turn(0.0, input_tokens, round(_draw(OUTPUT_TOKENS, chance)), 0)]
    num_turns = _draw(NUM_TURNS, chance)
    if input_tokens >= LARGE_FIRST_TOKENS:
        num_turns *= LARGE_TURNS_RATIO
    for _ in range(max(LEAST_TURNS, round(num_turns)) - 1):
        before = turns[-1]
        kept_tokens: float = before.input_tokens
        input_tokens = kept_tokens + _draw(NEW_TOKENS, chance)
        if chance.random() < REWRITE_SHARE:
            kept_tokens = before.input_tokens * _draw(REWRITTEN_KEPT, chance)
            input_tokens = min(before.input_tokens * _draw(REWRITTEN_RATIO, chance), most_tokens)
        elif input_tokens > most_tokens:
            kept_tokens = before.input_tokens * _draw(REWRITTEN_KEPT, chance)
            input_tokens = before.input_tokens * COMPACTED_RATIO
        whole_tokens = int(min(kept_tokens, input_tokens)) // BLOCK_TOKENS * BLOCK_TOKENS
        turns.append(
            Turn(
                think_s=_draw(THINK_S, chance),
                input_tokens=max(1, round(input_tokens)),
                output_tokens=round(_draw(OUTPUT_TOKENS, chance)),
                kept_tokens=whole_tokens,
            )
        )
    return turns


def _draw(row: Sequence[float], chance: Random) -> float:
    return _at(row, chance.random())


def _at(row: Sequence[float], share: float) -> float:
    at = min(bisect_right(SHARES, share), len(SHARES) - 1) - 1
    part = (share - SHARES[at]) / (SHARES[at + 1] - SHARES[at])
    return exp(log(row[at]) * (1 - part) + log(row[at + 1]) * part)
