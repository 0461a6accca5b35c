"""The page that Prometheus reads."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from cluster.core.view import PoolView
from cluster.metrics import table
from cluster.metrics.gateway import GatewayCounters, Observations
from cluster.metrics.metric import Kind, Metric, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def render(view: PoolView | None, counters: GatewayCounters) -> bytes:
    """Every metric of the table, in `CONTENT_TYPE`.  `view` None: the router does not answer now."""
    registry = CollectorRegistry()
    registry.register(_Page(view, counters))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, view: PoolView | None, counters: GatewayCounters) -> None:
        self._view, self._counters = view, counters

    def collect(self) -> Iterator[Family]:
        if self._view is not None:
            for metric in table.POOL_METRICS:
                yield _plain(metric, metric.read(self._view))
        yield _plain(table.ROUTER_UP, [((), self._view is not None)])
        yield _plain(table.IN_FLIGHT, [((), self._counters.num_in_flight)])
        for metric, totals in self._counters.totals.items():
            yield _plain(metric, totals.items())
        for metric, by_model in self._counters.observations.items():
            yield _histogram(metric, by_model)


def _plain(metric: Metric, samples: Iterable[Sample]) -> Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, by_model: dict[str, Observations]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for model, seen in by_model.items():
        bounds = [*(str(bound) for bound in seen.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(seen.counts), strict=True))
        family.add_metric((model,), buckets, seen.sum)
    return family
