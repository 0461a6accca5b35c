"""A gang over two hosts: the whole pool in a lab, whose host `a` has the gateway."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.engines.homes import Target
from bench.harness.engines import BenchedEngine
from cluster.config import HearthConfig
from tests.lab.hosts import Host
from tests.lab.lab import HostWish, Lab
from tests.lab.pool import LabPool, until
from tests.lab.ray_cluster import RayCluster
from tests.lab.tools import LabError

MEMORY_BYTES = 3 * 2**30
"""Two ranks of vLLM do not fit into one host."""
LOAD_S = 240.0


class NoLab(Exception):
    """There can be no lab here; the text says why."""


@contextmanager
def over_two_nodes(engine: BenchedEngine, config: dict[str, Any]) -> Generator[Target]:
    """Raises NoLab."""
    model = config["models"][0]
    weights = Path(model["source"]).parent
    with ExitStack() as stack:
        try:
            lab = stack.enter_context(Lab([HostWish(name, MEMORY_BYTES) for name in "ab"], shared=[weights]))
        except LabError as fault:
            raise NoLab(str(fault)) from fault
        cluster = stack.enter_context(RayCluster(lab))
        pool = stack.enter_context(LabPool(cluster, HearthConfig.model_validate(config)))
        # Before the second host was there, a start may have been tried on the first alone.
        until(lambda: _is_on_both(pool, engine.name), LOAD_S)
        port = pool.config.gateway.http_port
        enter = tuple(pool.head.argv())
        yield Target(engine.name, engine.kind, ("127.0.0.1", port), _socket(pool.head), enter)


def _is_on_both(pool: LabPool, model: str) -> bool:
    if pool.model(model)["state"] == "unloaded":
        pool.ask("POST", f"/api/models/{model}/load").raise_for_status()
    told = pool.model(model)
    return told["state"] == "ready" and len(told["nodes"]) == 2


def _socket(host: Host) -> str:
    """Where vLLM's first rank listens."""
    for pid in host.pids():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "--uds" in words:
                return words[words.index("--uds") + 1]
    raise RuntimeError("no engine listens")
