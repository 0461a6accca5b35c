"""What one gateway counts while it works."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cluster.metrics import table
from cluster.metrics.metric import Metric

MAX_LABEL_VALUES = 100
OTHER = "other"
"""Stands for each value of a label after its first hundred: no client can fill our memory with names."""


@dataclass
class Observations:
    """A histogram: how many fell under each bound of `bounds`, and over the last one."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class GatewayCounters:
    """All methods are for one event loop and never fail.

    `model` is the name of a model of the pool, never what a client merely wrote; `route` is the pattern of
    a route, such as `/v1/chat/completions`.  Durations are seconds.
    """

    def __init__(self) -> None:
        self.num_in_flight = 0
        self.totals: dict[Metric, Counter[tuple[str, ...]]] = {
            table.REQUESTS: Counter(),
            table.STREAMED: Counter(),
            table.DISCONNECTS: Counter({(): 0}),
            table.CONTINUATIONS: Counter({(): 0}),
            table.PROMPT_TOKENS: Counter(),
            table.CACHED_TOKENS: Counter(),
            table.COMPLETION_TOKENS: Counter(),
            table.STREAMS_LOST: Counter(),
        }
        self.observations: dict[Metric, dict[str, Observations]] = {
            table.TTFT: {},
            table.QUEUE_WAIT: {},
            table.TURN_DURATION: {},
            table.LOAD_WAIT: {},
        }
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    @contextmanager
    def in_flight(self) -> Generator[None]:
        """Holds one request in flight."""
        self.num_in_flight += 1
        try:
            yield
        finally:
            self.num_in_flight -= 1

    def request(self, route: str, status: int, model: str = "") -> None:
        """A request was answered."""
        key = (self._bounded("route", route), str(status), self._bounded("model", model))
        self.totals[table.REQUESTS][key] += 1

    def ttft(self, seconds: float, model: str) -> None:
        """The first token of an answer was sent."""
        self._observe(table.TTFT, seconds, model)

    def queue_wait(self, seconds: float, model: str) -> None:
        """A turn got its (first) place."""
        self._observe(table.QUEUE_WAIT, seconds, model)

    def load_wait(self, seconds: float, model: str) -> None:
        """A turn whose model had to be loaded got its place."""
        self._observe(table.LOAD_WAIT, seconds, model)

    def turn(self, seconds: float, model: str) -> None:
        """An answer is whole."""
        self._observe(table.TURN_DURATION, seconds, model)

    def used(self, engine: str, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> None:
        """An answer is whole, and this engine gave it, or its end."""
        label = (self._bounded("engine", engine),)
        self.totals[table.PROMPT_TOKENS][label] += prompt_tokens
        self.totals[table.CACHED_TOKENS][label] += cached_tokens
        self.totals[table.COMPLETION_TOKENS][label] += completion_tokens

    def lost(self, engine: str, preempted: bool) -> None:
        """A stream ended before its answer."""
        why = "preempted" if preempted else "broken"
        self.totals[table.STREAMS_LOST][self._bounded("engine", engine), why] += 1

    def streamed(self, num_tokens: int, model: str) -> None:
        self.totals[table.STREAMED][self._bounded("model", model),] += num_tokens

    def disconnected(self) -> None:
        """A client went away before its answer was whole."""
        self.totals[table.DISCONNECTS][()] += 1

    def continued(self) -> None:
        """An answer that had begun went on at another replica."""
        self.totals[table.CONTINUATIONS][()] += 1

    def _observe(self, metric: Metric, seconds: float, model: str) -> None:
        by_model = self.observations[metric]
        by_model.setdefault(self._bounded("model", model), Observations(metric.buckets)).add(seconds)

    def _bounded(self, label: str, value: str) -> str:
        seen = self._seen[label]
        if value not in seen and len(seen) >= MAX_LABEL_VALUES:
            return OTHER
        seen.add(value)
        return value
