"""The machines of the running pool, as `hearth plan` asks about machines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.cli.terminal import REFUSED, CommandFailed, size_words
from cluster.core.forecast.ask import LabNode
from cluster.core.speed.machines import MACHINES, Machine

_BRANDS = re.compile(r"\b(nvidia|geforce|amd|radeon|apple)\b")
_BUILDS = re.compile(r"\bgeneration\b|\b\w+ edition\b")
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class PoolMachines:
    """`told`: of each node of the pool which machine it is taken for, or why it is left out."""

    nodes: tuple[LabNode, ...]
    told: tuple[str, ...]


def pool_machines() -> PoolMachines:
    """Asks the pool.  Raises CommandFailed where none runs."""
    from cluster.cli.client import get_json, require_pool
    from cluster.pool.paths import pool_paths

    return machines_of(get_json(require_pool(pool_paths()), "/api/view")["nodes"])


def machines_of(nodes: Sequence[dict[str, Any]]) -> PoolMachines:
    """`nodes`: as in the pool's view; of them those whose speeds are known."""
    known = {node["node"]: found for node in nodes if (found := _lab_node(node))}
    told = tuple(_words(node, known.get(node["node"])) for node in nodes)
    return PoolMachines(_alike(tuple(known.values())), told)


def check_known(found: PoolMachines) -> None:
    """Raises CommandFailed where none of the pool's machines has known speeds, and nobody named another."""
    if not found.nodes:
        problem = (
            f"No machine of the pool is one whose speed is known: {'; '.join(found.told) or 'none is up'}."
        )
        raise CommandFailed(problem, "Name machines that are like yours: --machine NAME.", REFUSED)


def _lab_node(node: dict[str, Any]) -> LabNode | None:
    """With the memory that the node offers to models; None: no published speed is that of its chip."""
    num_cards = max(node["num_gpus"], 1)
    each_bytes = node["models_bytes"] // num_cards
    same = [machine for machine in MACHINES.values() if _plain(machine.chip) == _plain(node["chip"])]
    if not same or not node["models_bytes"]:
        return None
    total_bytes = each_bytes if node["num_gpus"] else node["memory_bytes"]
    nearest = min(same, key=lambda machine: abs(machine.memory_bytes - total_bytes))
    return LabNode(_sized(nearest, total_bytes, each_bytes), num_cards)


def _sized(machine: Machine, total_bytes: int, usable_bytes: int) -> Machine:
    """A computer that is not sold with so much memory has a name that says how much."""
    if machine.is_card or abs(machine.memory_bytes - total_bytes) < machine.memory_bytes / 16:
        return replace(machine, usable_bytes=usable_bytes)
    name = f"{machine.name.rpartition('-')[0]}-{round(total_bytes / _GIB)}"
    return replace(machine, name=name, memory_bytes=total_bytes, usable_bytes=usable_bytes)


def _alike(nodes: tuple[LabNode, ...]) -> tuple[LabNode, ...]:
    """Of one name and number of cards: all with what the least of them has, as a gang's ranks are equal."""
    least: dict[str, int] = {}
    for node in nodes:
        mine = node.machine.usable_bytes
        least[node.name] = min(least.get(node.name, mine), mine)
    return tuple(
        replace(node, machine=replace(node.machine, usable_bytes=least[node.name])) for node in nodes
    )


def _plain(chip: str) -> str:
    """`NVIDIA GeForce RTX 3090` and `NVIDIA RTX 3090` are one; Max-Q is a card that draws less."""
    return " ".join(_BUILDS.sub(" ", _BRANDS.sub(" ", chip.lower())).split()) or "unknown"


def _words(node: dict[str, Any], found: LabNode | None) -> str:
    if found is not None:
        return f"{node['node']} is a {found.name}, {size_words(node['models_bytes'])} for models"
    return f"{node['node']} is left out: {_why_not(node)}"


def _why_not(node: dict[str, Any]) -> str:
    if not node["models_bytes"]:
        return "it offers no memory to models"
    if not node["chip"]:
        return "its cards differ" if node["num_gpus"] > 1 else "it has no GPU that engines here use"
    return f"no published speeds for it ({node['chip']})"
