"""Everything this project counts: one table, from which exposition, reference and dashboards come.

Nothing here is global: a gateway makes its own `GatewayCounters` and renders them with the pool's view.
No metric carries a session, a tenant or a word of a conversation.
"""

from cluster.metrics.gateway import GatewayCounters
from cluster.metrics.metric import Kind, Metric, PoolMetric
from cluster.metrics.render import CONTENT_TYPE, render
from cluster.metrics.table import GATEWAY_METRICS, METRICS, POOL_METRICS

__all__ = [
    "CONTENT_TYPE",
    "GATEWAY_METRICS",
    "METRICS",
    "POOL_METRICS",
    "GatewayCounters",
    "Kind",
    "Metric",
    "PoolMetric",
    "render",
]
