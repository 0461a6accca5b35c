"""Checks of this computer that need no pool."""

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cluster.doctor.check import Check, fail, ok, warn
from cluster.inventory.gpu import Gpu
from cluster.inventory.node import NodeMemory

PYTHONS = ((3, 11), (3, 13))
POOL_BYTES = 3 * 2**29
"""What a pool takes beside its models: Ray, the router, a gateway and one front."""

DISK_BYTES = 2**29
_GIB = 2**30


def check_python(version: tuple[int, int]) -> Check:
    words = f"Python {version[0]}.{version[1]}"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return ok("Python", words)
    return fail("Python", f"{words} is not supported.", "Use Python 3.11, 3.12 or 3.13.")


def check_memory(memory: NodeMemory) -> Check:
    words = f"{memory.available_bytes / _GIB:.1f} of {memory.total_bytes / _GIB:.1f} GiB free"
    if memory.available_bytes >= POOL_BYTES:
        return ok("Memory", words)
    problem = f"{words}, but a pool takes {POOL_BYTES / _GIB:.1f} GiB beside its models."
    return fail("Memory", problem, "Close other programs.")


def check_disk(folder: Path) -> Check:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    words = f"{free / _GIB:.1f} GiB free below {existing}"
    if free >= DISK_BYTES:
        return ok("Disk", words)
    problem = f"{words}, but state and logs need {DISK_BYTES / _GIB:.1f} GiB."
    return fail("Disk", problem, "Make room, or name another folder in HEARTH_HOME.")


def check_engine() -> Check:
    if find_spec("xllamacpp") is not None:
        return ok("Engine", "llama.cpp is installed")
    return fail("Engine", "llama.cpp (xllamacpp) is not installed.", "Install Hearth again: make up")


def check_gpus(gpus: Sequence[Gpu]) -> Check:
    if gpus:
        return ok("GPU", ", ".join(f"{gpu.name}, {gpu.memory_bytes / _GIB:.0f} GiB" for gpu in gpus))
    return warn("GPU", "None found: models are computed by the CPU.")


def this_python() -> tuple[int, int]:
    return sys.version_info[:2]
