"""The whole examination, in the order in which a person reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cluster.config import HearthConfig
from cluster.doctor.check import Check, ok, warn
from cluster.doctor.engines import check_engines
from cluster.doctor.machine import (
    check_disk,
    check_engine,
    check_python,
    this_python,
)
from cluster.doctor.memory import check_gpus, check_memory, check_usable
from cluster.doctor.models import check_models, check_warm
from cluster.doctor.pool import check_gateway, check_sockets, check_token, pool_listeners
from cluster.doctor.ports import check_port, check_ports_differ
from cluster.inventory.engines import find_engines
from cluster.inventory.node import Node, this_node
from cluster.inventory.offer import this_offer
from cluster.inventory.weights import find_weights
from cluster.pool.paths import PoolPaths
from cluster.pool.state import PoolState


def examine(
    paths: PoolPaths, config: HearthConfig, state: PoolState | None, ask: Callable[[str], Any]
) -> Iterator[Check]:
    """Yields each finding as it is made.  `state` None: no pool runs, and what a start needs is looked at."""
    node = this_node(paths.home)
    yield check_python(this_python())
    yield check_disk(paths.home)
    yield check_engine()
    yield from check_engines(config)
    yield from check_gpus(node.found)
    if state is None:
        yield from _before(config, node)
    else:
        yield ok("Pool", f"runs with pid {state.pid} at {state.http_url}")
        yield check_sockets(pool_listeners(paths, state))
        yield check_token(paths, state)
        yield from check_gateway(ask)
    yield from _around()


def _before(config: HearthConfig, node: Node) -> Iterator[Check]:
    yield warn("Pool", "No pool runs here.", "Start one: hearth up")
    offer = this_offer(config.node, node.memory, node.found)
    yield check_memory(node.memory)
    yield from check_usable(offer, node.memory, node.found)
    yield check_ports_differ(config.gateway)
    yield check_port(config.gateway, "http_port")
    yield check_port(config.gateway, "grpc_port")
    facts = offer.facts("127.0.0.1")
    yield from check_models(config, facts)
    yield from check_warm(config, facts)


def _around() -> Iterator[Check]:
    for engine in find_engines():
        names = ", ".join(f"{model.name}{'' if model.local else ' (hosted)'}" for model in engine.models)
        yield ok(f"Found {engine.kind}", f"{engine.url}: {names}")
    for weights in find_weights(Path.home()):
        yield ok(f"Found {weights.kind}", str(weights.path))
