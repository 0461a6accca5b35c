"""Checks of this computer that need no pool."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from cluster.doctor.check import Check, fail, ok

PYTHONS = ((3, 11), (3, 13))
DISK_BYTES = 2**29
_GIB = 2**30


def check_python(version: tuple[int, int]) -> Check:
    words = f"Python {version[0]}.{version[1]}"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return ok("Python", words)
    return fail("Python", f"{words} is not supported.", "Use Python 3.11, 3.12 or 3.13.")


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


def this_python() -> tuple[int, int]:
    return sys.version_info[:2]
