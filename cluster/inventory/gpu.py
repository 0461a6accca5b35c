"""Accelerators, asked of the tools that come with their drivers.

A tool that is missing, hangs or says something else counts as no accelerator.
"""

import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

TOOL_TIMEOUT_S = 3.0
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
SYSCTL = ("sysctl", "hw.memsize", "iogpu.wired_limit_mb", "machdep.cpu.brand_string")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Gpu:
    """`free_bytes` None: it cannot be told.  `unified`: the memory is main memory."""

    name: str
    memory_bytes: int
    free_bytes: int | None
    unified: bool = False


def find_gpus() -> tuple[Gpu, ...]:
    if sys.platform == "darwin":
        return parse_sysctl(_ask(SYSCTL)) if platform.machine() == "arm64" else ()
    return parse_nvidia_smi(_ask(NVIDIA_SMI))


def _ask(argv: Sequence[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def parse_nvidia_smi(text: str) -> tuple[Gpu, ...]:
    """Reads lines of `name, total MiB, free MiB`; other lines (`[N/A]`, error texts) say nothing."""
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 2)]
        if len(fields) == 3 and fields[1].isdigit():
            free = int(fields[2]) * _MIB if fields[2].isdigit() else None
            gpus.append(Gpu(fields[0], int(fields[1]) * _MIB, free))
    return tuple(gpus)


def parse_sysctl(text: str) -> tuple[Gpu, ...]:
    """Reads Apple's unified memory from `name: value` lines: bytes of memory, MiB the GPU may wire, chip.

    A limit of 0, or none, is the system's own: two thirds up to 36 GiB and three quarters above.
    """
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if not values.get("hw.memsize", "").isdigit():
        return ()
    memory, wired = int(values["hw.memsize"]), values.get("iogpu.wired_limit_mb", "")
    share = memory * 2 // 3 if memory <= 36 * 2**30 else memory * 3 // 4
    limit = int(wired) * _MIB if wired.isdigit() else 0
    return (Gpu(values.get("machdep.cpu.brand_string", "Apple GPU"), limit or share, None, unified=True),)
