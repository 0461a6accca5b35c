"""AMD's GPUs, from what the kernel's driver amdgpu tells below /sys/class/drm.

`mem_info_{vram,gtt}_{total,used}` are bytes.  `mem_info_vram_vendor` names who made a card's memory chips: an
APU has none, so there it says `unknown` or, since Linux 6.7, is missing.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from cluster.core.memory.usable import AmdCard, AmdUnified

DRM = Path("/sys/class/drm")
_FIELDS = ("vram_total", "vram_used", "gtt_total", "gtt_used")


def read_amd(drm: Path = DRM) -> tuple[list[AmdCard | AmdUnified], list[str]]:
    """The GPUs, and words on each that had to be left out."""
    gpus: list[AmdCard | AmdUnified] = []
    left_out: list[str] = []
    for card in sorted(drm.glob("card*/device/mem_info_vram_total")):
        files = {file.name: _text(file) for file in card.parent.glob("mem_info_*")}
        gpu = parse_amd(_name(card.parent), files)
        if isinstance(gpu, str):
            left_out.append(gpu)
        else:
            gpus.append(gpu)
    return gpus, left_out


def parse_amd(name: str, files: Mapping[str, str]) -> AmdCard | AmdUnified | str:
    """One GPU from the texts of its files; words where they hold no numbers."""
    values = {field: files.get(f"mem_info_{field}", "").strip() for field in _FIELDS}
    wrong = [f"mem_info_{field}" for field, value in values.items() if not value.isdecimal()]
    if wrong:
        return f"{name}: its driver tells no number of bytes in {', '.join(wrong)}"
    vram, vram_used, gtt, gtt_used = (int(values[field]) for field in _FIELDS)
    if files.get("mem_info_vram_vendor", "").strip() in ("", "unknown"):
        return AmdUnified(name, vram, vram_used, gtt, gtt_used)
    return AmdCard(name, vram, vram_used)


def _name(device: Path) -> str:
    """`product_name` is empty on most cards; then its number and its PCI id name it."""
    product = _text(device / "product_name").strip()
    pci = re.search(r"^PCI_ID=(\S+)$", _text(device / "uevent"), re.MULTILINE)
    return product or f"AMD GPU {device.parent.name}" + (f" ({pci[1]})" if pci else "")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
