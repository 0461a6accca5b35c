"""What each rank of MLX is told about the others: environment and files.  Pure.

`jaccl` exchanges tensors by RDMA over Thunderbolt 5, where every two Macs of the gang have a cable between
them that both ends offer for it; `ring` over TCP between the nodes' addresses, everywhere else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Port:
    """One Thunderbolt port.  `interface`: as in `en3`.  `link`: its own end; `peer`: the end that a cable
    leads to, None without one."""

    interface: str
    link: str
    peer: str | None


@dataclass(frozen=True, slots=True)
class Links:
    """What a node offers beside its address.  `rdma`: devices, such as `rdma_en3`; `ports`: Thunderbolt."""

    rdma: frozenset[str] = frozenset()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Wiring:
    """How one rank finds the others.  `files`: contents by the variable that has to name the file."""

    backend: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def wire(addresses: Sequence[str], ports: Sequence[int], links: Sequence[Links]) -> tuple[Wiring, ...]:
    """One for each rank.  `ports[i]` is free at `addresses[i]`; `links[i]`: what rank i's node offers."""
    if len(addresses) == 1:
        return (Wiring(""),)
    ends = [_joined(address, port) for address, port in zip(addresses, ports, strict=True)]
    devices = mesh(links)
    ranks = [{"MLX_RANK": str(rank)} for rank in range(len(addresses))]
    if devices is None:
        hostfile = {"MLX_HOSTFILE": json.dumps([[end] for end in ends]).encode()}
        return tuple(Wiring("ring", rank, hostfile) for rank in ranks)
    files = {"MLX_IBV_DEVICES": json.dumps(devices).encode()}
    return tuple(Wiring("jaccl", {**rank, "MLX_JACCL_COORDINATOR": ends[0]}, files) for rank in ranks)


def mesh(links: Sequence[Links]) -> list[list[str | None]] | None:
    """For each rank, by which of its devices it reaches each other one (None: itself); None: not all do."""
    rows = [[None if one is other else _device(one, other) for other in links] for one in links]
    complete = all(device for at, row in enumerate(rows) for to, device in enumerate(row) if at != to)
    return rows if complete else None


def _device(one: Links, other: Links) -> str | None:
    ends = {port.link: f"rdma_{port.interface}" for port in other.ports}
    for port in one.ports:
        device = f"rdma_{port.interface}"
        if port.peer in ends and device in one.rdma and ends[port.peer] in other.rdma:
            return device
    return None


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
