"""This computer: its name and its memory."""

import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.core.memory.usable import NodeMemory
from cluster.inventory.cgroup import memory_limit
from cluster.inventory.gpu import Found, find_gpus

MAX_HOST_CHARS = 40


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    memory: NodeMemory
    found: Found


def node_memory() -> NodeMemory:
    memory, limit = psutil.virtual_memory(), memory_limit()
    if limit is None:
        return NodeMemory(memory.total, memory.available)
    return NodeMemory(memory.total, memory.available, limit.limit_bytes, limit.used_bytes)


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
