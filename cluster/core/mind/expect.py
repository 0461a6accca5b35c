"""What sessions have done so far tells what they will do: lengths of answers, and growth."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

FIRST_OUTPUT_TOKENS = 400.0
"""Before any answer was seen.  The mean of 6,000 turns of public agent sessions was 454."""

FIRST_GROWTH_TOKENS = 1500.0
"""The same, of what a turn adds, its answer included; our choice, of the order of their prompts' growth."""

OWN_WEIGHT = 4
"""So many turns of all sessions count beside a session's own; our choice."""

NUM_KEPT = 500
"""Of the latest answers of all."""


@dataclass(slots=True)
class Mean:
    """Of all values seen, beginning with `first` as one."""

    first: float
    total: float = 0.0
    number: int = 0

    def learn(self, value: float) -> None:
        self.total += value
        self.number += 1

    @property
    def value(self) -> float:
        return (self.total + self.first) / (self.number + 1)


@dataclass(slots=True)
class Expectations:
    """Learned from finished turns alone."""

    output: Mean = field(default_factory=lambda: Mean(FIRST_OUTPUT_TOKENS))
    growth: Mean = field(default_factory=lambda: Mean(FIRST_GROWTH_TOKENS))
    _latest: deque[int] = field(default_factory=lambda: deque[int](maxlen=NUM_KEPT))
    _ranked: list[int] = field(default_factory=list[int])
    _outputs: dict[str, Mean] = field(default_factory=dict[str, Mean])
    _growths: dict[str, Mean] = field(default_factory=dict[str, Mean])

    def learn(self, session: str, output_tokens: int, growth_tokens: int | None) -> None:
        """`growth_tokens`: since the session's turn before; None for its first and where it was rewritten."""
        self.output.learn(output_tokens)
        self._outputs.setdefault(session, Mean(0.0)).learn(output_tokens)
        self._latest.append(output_tokens)
        self._ranked = []
        if growth_tokens is not None:
            self.growth.learn(growth_tokens)
            self._growths.setdefault(session, Mean(0.0)).learn(growth_tokens)

    def output_tokens(self, session: str) -> float:
        return _mixed(self._outputs.get(session), self.output.value)

    def growth_tokens(self, session: str) -> float:
        return _mixed(self._growths.get(session), self.growth.value)

    def left_tokens(self, session: str, said_tokens: float) -> float:
        """Of an answer that has so many already: the mean of the rest of those that were as long."""
        if not self._ranked:
            self._ranked = sorted(self._latest)
        longer = self._ranked[bisect_right(self._ranked, said_tokens) :]
        if not longer:
            return max(self.output.value, said_tokens)
        return sum(longer) / len(longer) - said_tokens


def _mixed(own: Mean | None, of_all: float) -> float:
    if own is None:
        return of_all
    return (own.total + OWN_WEIGHT * of_all) / (own.number + OWN_WEIGHT)
