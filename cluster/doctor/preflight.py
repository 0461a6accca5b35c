"""What must be in order before a pool starts.  Looks at everything, starts nothing."""

from cluster.config import HearthConfig, home
from cluster.core.memory.usable import NodeMemory
from cluster.doctor.check import Check, Verdict
from cluster.doctor.machine import check_disk, check_engine, check_python, this_python
from cluster.doctor.memory import check_memory
from cluster.doctor.models import check_models
from cluster.doctor.ports import check_port, check_ports_differ
from cluster.inventory.node import node_memory
from cluster.inventory.offer import this_offer


def preflight(config: HearthConfig, memory: NodeMemory | None = None) -> list[Check]:
    """The checks that failed, the plainest first.  `memory`: what to believe instead of looking."""
    memory = memory or node_memory()
    checks = [
        check_python(this_python()),
        check_ports_differ(config.gateway),
        check_port(config.gateway, "http_port"),
        check_port(config.gateway, "grpc_port"),
        check_engine(),
        check_disk(home()),
        check_memory(memory),
        *check_models(config, this_offer(config.node, memory).facts("127.0.0.1")),
    ]
    return [check for check in checks if check.verdict is Verdict.FAIL]
