"""What a metric is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cluster.core.view import PoolView

Sample = tuple[tuple[str, ...], float]
"""Values of the metric's labels, in their order, and the value."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """`buckets` are the upper bounds of a histogram, without the last, infinite one."""

    name: str
    kind: Kind
    help: str
    unit: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True)
class PoolMetric(Metric):
    """`read` takes the samples from the router's view."""

    read: Callable[[PoolView], Iterable[Sample]] = lambda _: ()
