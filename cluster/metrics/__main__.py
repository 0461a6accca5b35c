"""Prints docs/metrics.md: `python -m cluster.metrics > docs/metrics.md`."""

from collections.abc import Iterable

from cluster.metrics.metric import Metric
from cluster.metrics.table import GATEWAY_METRICS, POOL_METRICS

_PAGE = """# Metrics

Every gateway serves them at `/metrics`. This page is generated from the table in `cluster/metrics/`:
`python -m cluster.metrics > docs/metrics.md`. How to look at them: [grafana.md](grafana.md).

## The pool, as its router sees it
The same at every gateway, so take the `max` over gateways. The counters begin again with each router epoch,
which `rate` and `increase` understand.

{pool}

## A gateway, by itself
Each gateway counts its own, so take the `sum` over gateways.

{gateway}
"""


def reference() -> str:
    """The page, as Markdown."""
    return _PAGE.format(pool=_rows(POOL_METRICS), gateway=_rows(GATEWAY_METRICS))


def _rows(metrics: Iterable[Metric]) -> str:
    head = ["| metric | type | unit | labels | what it says |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_row, metrics)])


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |"


if __name__ == "__main__":
    print(reference(), end="")
