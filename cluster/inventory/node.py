"""This computer: its name and its memory."""

import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.inventory.gpu import Gpu, find_gpus

MAX_HOST_CHARS = 40


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """Main memory in bytes; on a Mac the GPU shares it."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    memory: NodeMemory
    gpus: tuple[Gpu, ...]


def node_memory() -> NodeMemory:
    memory = psutil.virtual_memory()
    return NodeMemory(memory.total, memory.available)


def node_id(home: Path) -> str:
    """The node's name, drawn once and kept: host names change and repeat."""
    file = home / "node_id"
    if file.exists():
        return file.read_text().strip()
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname().split(".")[0]).strip("-") or "node"
    name = f"{host[:MAX_HOST_CHARS].lower()}-{secrets.token_hex(2)}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(name + "\n")
    return name


def this_node(home: Path) -> Node:
    return Node(node_id(home), node_memory(), find_gpus())
