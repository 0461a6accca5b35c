"""Pieces of PromQL.

Every gateway shows the same pool, so pool metrics are reduced by `max` over gateways before anything is
added up; gateway metrics are added up.
"""

MODEL = '{model=~"$model"}'
OVER = "[$__rate_interval]"


def pool(metric: str, by: str, where: str = "") -> str:
    """A pool metric, once for each `by`, whatever the number of gateways."""
    return f"max by ({by}) ({metric}{where})"


def replica(metric: str) -> str:
    return pool(f"hearth_replica_{metric}", "replica, node, model", MODEL)


def pool_rate(metric: str, by: str = "", where: str = "") -> str:
    """How much a pool counter grows in a second."""
    reduced = f"max by ({by})" if by else "max"
    return f"{reduced} (rate({metric}{where}{OVER}))"


def models_rate(metric: str) -> str:
    """How much a pool counter of each model grows in a second, of all models chosen."""
    return f"sum({pool_rate(metric, 'model', MODEL)})"


def gateway_rate(metric: str, by: str, where: str = "") -> str:
    """How much a counter of the gateways, added up, grows in a second."""
    return f"sum by ({by}) (rate({metric}{where}{OVER}))"


def quantile(share: float, metric: str) -> str:
    """Of a gateway's histogram, for each model."""
    return f"histogram_quantile({share}, {gateway_rate(f'{metric}_bucket', 'model, le', MODEL)})"
