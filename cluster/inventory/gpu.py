"""Accelerators, asked of the tools and files that come with their drivers.

A tool that is missing or hangs counts as no accelerator.  One that says something else is left out, and said.
"""

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.core.memory.usable import AppleGpu, Gpu, NvidiaCard
from cluster.inventory.amd import read_amd

TOOL_TIMEOUT_S = 3.0
NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free,memory.reserved",
    "--format=csv,noheader,nounits",
)
OLD_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
"""Drivers before 510 know no `memory.reserved`, and then answer nothing else either."""

SYSCTL = ("sysctl", "hw.memsize", "iogpu.wired_limit_mb", "machdep.cpu.brand_string")
_MIB = 2**20
_SIZE = r"(\d+|\[[^\]]*\])"
_CARD = re.compile(rf"(.+?), *{_SIZE}, *{_SIZE}(?:, *{_SIZE})? *")


@dataclass(frozen=True, slots=True)
class Found:
    """`left_out`: words on each device, or tool, that could not be understood."""

    gpus: tuple[Gpu, ...] = ()
    left_out: tuple[str, ...] = ()

    def chip(self, num_cards: int) -> str:
        """What models are computed on, as its driver names it; empty: processors, or cards that differ."""
        if self.apple is not None:
            return self.apple.name
        names = {card.name for card in self.cards} if num_cards else set[str]()
        return names.pop() if len(names) == 1 else ""

    @property
    def cards(self) -> tuple[NvidiaCard, ...]:
        return tuple(gpu for gpu in self.gpus if isinstance(gpu, NvidiaCard))

    @property
    def apple(self) -> AppleGpu | None:
        return next((gpu for gpu in self.gpus if isinstance(gpu, AppleGpu)), None)


def find_gpus() -> Found:
    if sys.platform == "darwin":
        return parse_sysctl(_ask(SYSCTL)) if platform.machine() == "arm64" else Found()
    nvidia = parse_nvidia_smi(_ask(NVIDIA_SMI))
    if nvidia.left_out and not nvidia.gpus:
        nvidia = parse_nvidia_smi(_ask(OLD_NVIDIA_SMI))
    amd, left_out = read_amd()
    return Found((*nvidia.gpus, *amd), (*nvidia.left_out, *left_out))


def _ask(argv: Sequence[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""


def parse_nvidia_smi(text: str) -> Found:
    """Reads lines of `name, total MiB, free MiB, MiB that the driver holds`; the last may be missing."""
    gpus: list[NvidiaCard] = []
    left_out: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        card = _CARD.fullmatch(line)
        if card is not None and card[2].isdecimal():
            gpus.append(NvidiaCard(card[1], _mib(card[2]) or 0, _mib(card[3]), _mib(card[4]) or 0))
        elif card is not None:
            left_out.append(f"{card[1]}: nvidia-smi does not tell its memory ({card[2]})")
        else:
            left_out.append(f"nvidia-smi says: {line:.120}")
    return Found(tuple(gpus), tuple(left_out))


def _mib(size: str | None) -> int | None:
    return int(size) * _MIB if size is not None and size.isdecimal() else None


def parse_sysctl(text: str) -> Found:
    """Reads Apple's unified memory from `name: value` lines: bytes of memory, MiB the GPU may wire, chip.

    A system may lack the limit: macOS 13 has it under another name.
    """
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    memory, wired = values.get("hw.memsize", "").strip(), values.get("iogpu.wired_limit_mb", "").strip()
    if not memory.isdecimal():
        return Found(left_out=("sysctl tells no hw.memsize",) if text.strip() else ())
    name = values.get("machdep.cpu.brand_string", "Apple GPU").strip()
    return Found((AppleGpu(name, int(memory), _mib(wired) or 0),))
