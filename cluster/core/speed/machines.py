"""Machines that people have or think of buying, and the links between them.  All figures are published ones.

`tflops`: of the shaders, in 32 bits, at their highest clock.  For a card it comes with the watts that it may
draw: few can hold that clock while they multiply matrices.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cluster.core.memory.usable import AmdCard, AmdUnified, AppleGpu, Gpu, NodeMemory, NvidiaCard, usable
from cluster.core.speed.near import found

_GIB = 2**30


class Vendor(StrEnum):
    """What drivers and kernels are alike."""

    APPLE = "apple"
    NVIDIA = "nvidia"
    AMD = "amd"


class Family(StrEnum):
    """What multiplies alike.  Apple's shaders are new from M3 on."""

    APPLE_M1 = "apple-m1"
    APPLE_M3 = "apple-m3"
    NVIDIA = "nvidia"
    AMD = "amd"

    @property
    def vendor(self) -> Vendor:
        return Vendor(self.value.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Machine:
    """One computer with one device that models run on.  `watts` None: not published for the chip alone.

    `has_rdma`: over Thunderbolt 5.  `is_card`: a computer may have several.  `memory_bytes`: of the device.
    `usable_bytes`: what models can have of it while nothing else runs.
    """

    name: str
    chip: str
    family: Family
    memory_bytes: int
    usable_bytes: int
    bandwidth_bytes_s: float
    tflops: float
    watts: int | None = None
    note: str = ""
    has_rdma: bool = False
    is_card: bool = False

    @property
    def vendor(self) -> Vendor:
        return self.family.vendor

    @property
    def basis_tflops(self) -> float:
        """What prefill is in proportion to within a family: the root of peak times watts.

        Nine cards of one published table lie within 10 % of such a line; of peak alone, two-fold apart.
        """
        return self.tflops if self.watts is None else (self.tflops * self.watts) ** 0.5


@dataclass(frozen=True, slots=True)
class Link:
    """`latency_s`: until a message of no size is there and seen.  `bytes_s`: what is reached of its rate."""

    name: str
    latency_s: float
    bytes_s: float
    note: str

    @property
    def is_rdma(self) -> bool:
        return self.name == "tb5-rdma"


def _usable(device: Gpu | NodeMemory, memory_gib: float) -> int:
    memory = NodeMemory(int(memory_gib * _GIB), int(memory_gib * _GIB))
    return usable(device, memory).usable_bytes


def _apple(
    chip: str, family: Family, gb_s: float, tflops: float, *sizes_gib: int, note: str = "", rdma: bool = False
) -> Iterator[Machine]:
    for gib in sizes_gib:
        room = _usable(AppleGpu(chip, gib * _GIB), gib)
        name = f"{chip.lower().replace(' ', '-')}-{gib}"
        full_name, bytes_s = f"Apple {chip}", gb_s * 1e9
        yield Machine(name, full_name, family, gib * _GIB, room, bytes_s, tflops, note=note, has_rdma=rdma)


def _nvidia(name: str, chip: str, gib: int, gb_s: float, tflops: float, watts: int) -> Machine:
    room = _usable(NvidiaCard(chip, gib * _GIB, None), 2 * gib)
    return Machine(name, chip, Family.NVIDIA, gib * _GIB, room, gb_s * 1e9, tflops, watts, is_card=True)


def _amd(name: str, chip: str, gib: int, gb_s: float, tflops: float, watts: int) -> Machine:
    room = _usable(AmdCard(chip, gib * _GIB, 0), 2 * gib)
    return Machine(name, chip, Family.AMD, gib * _GIB, room, gb_s * 1e9, tflops, watts, is_card=True)


def _machines() -> Iterator[Machine]:
    old, new = Family.APPLE_M1, Family.APPLE_M3
    yield from _apple("M1", old, 68, 2.29, 8, 16, note="7 GPU cores")
    yield from _apple("M1 Max", old, 400, 10.6, 32, 64, note="32 GPU cores")
    yield from _apple("M1 Ultra", old, 800, 21.2, 64, 128, note="64 GPU cores")
    yield from _apple("M2 Max", old, 400, 13.6, 64, 96, note="38 GPU cores")
    yield from _apple("M2 Ultra", old, 800, 27.2, 64, 128, 192, note="76 GPU cores")
    yield from _apple("M3 Max", new, 400, 14.2, 48, 64, 128, note="40 GPU cores")
    yield from _apple("M3 Ultra", new, 819, 28.4, 96, 256, 512, note="80 GPU cores", rdma=True)
    yield from _apple("M4 Pro", new, 273, 9.2, 48, 64, note="20 GPU cores", rdma=True)
    yield from _apple("M4 Max", new, 546, 18.4, 36, 64, 128, note="40 GPU cores", rdma=True)
    note = "40 GPU cores; its matrix units are not counted: prefill is a lower bound"
    yield from _apple("M5 Max", new, 614, 18.4, 64, 128, note=note, rdma=True)
    yield _nvidia("rtx-3060", "NVIDIA RTX 3060", 12, 360, 12.7, 170)
    yield _nvidia("rtx-3070", "NVIDIA RTX 3070", 8, 448, 20.3, 220)
    yield _nvidia("rtx-3080", "NVIDIA RTX 3080", 10, 760, 29.8, 320)
    yield _nvidia("rtx-3090", "NVIDIA RTX 3090", 24, 936, 35.6, 350)
    yield _nvidia("rtx-4070-ti", "NVIDIA RTX 4070 Ti", 12, 504, 40.1, 285)
    yield _nvidia("rtx-4080", "NVIDIA RTX 4080", 16, 717, 48.7, 320)
    yield _nvidia("rtx-4090", "NVIDIA RTX 4090", 24, 1008, 82.6, 450)
    yield _nvidia("rtx-5090", "NVIDIA RTX 5090", 32, 1792, 104.8, 575)
    yield _nvidia("rtx-a6000", "NVIDIA RTX A6000", 48, 768, 38.7, 300)
    yield _nvidia("rtx-6000-ada", "NVIDIA RTX 6000 Ada", 48, 960, 91.1, 300)
    yield _nvidia("rtx-pro-6000", "NVIDIA RTX PRO 6000 Blackwell", 96, 1792, 125.0, 600)
    spark_gib = 128e9 / _GIB
    room = _usable(NodeMemory(int(128e9), int(128e9)), spark_gib)
    yield Machine("dgx-spark", "NVIDIA GB10", Family.NVIDIA, int(128e9), room, 273e9, 31.0, 140)
    apu = AmdUnified("Radeon 8060S", 96 * _GIB, 0, 16 * _GIB, 0)
    room, note = _usable(apu, 32), "96 GiB given to its GPU by the firmware, half of the rest mapped"
    chip = "AMD Ryzen AI Max+ 395"
    yield Machine("strix-halo", chip, Family.AMD, 128 * _GIB, room, 256e9, 29.7, 120, note)
    yield _amd("radeon-r9700", "AMD Radeon AI PRO R9700", 32, 640, 47.8, 300)


MACHINES: Mapping[str, Machine] = {machine.name: machine for machine in _machines()}

TCP_LATENCY_S = 300e-6
"""Published for Macs over Thunderbolt before RDMA, and usual between homes' machines under load."""

_REACHED = 0.94
"""Of Ethernet's rate, behind the headers of TCP."""

LINKS: Mapping[str, Link] = {
    link.name: link
    for link in (
        Link("1gbe", TCP_LATENCY_S, _REACHED * 125e6, "1 Gbit/s Ethernet"),
        Link("2.5gbe", TCP_LATENCY_S, _REACHED * 312.5e6, "2.5 Gbit/s Ethernet"),
        Link("10gbe", TCP_LATENCY_S, _REACHED * 1.25e9, "10 Gbit/s Ethernet"),
        Link("25gbe", TCP_LATENCY_S, _REACHED * 3.125e9, "25 Gbit/s Ethernet"),
        Link("tb5-rdma", 30e-6, 7.4e9, "RDMA over Thunderbolt 5; published are 5 to 50 us, and 7.4 GB/s"),
        Link("pcie", 10e-6, 25e9, "cards of one machine, PCIe 4.0 x16"),
    )
}


def known_machine(name: str) -> Machine:
    """Raises InvalidField."""
    return found(name, MACHINES, "--machine")


def known_link(name: str) -> Link:
    """Raises InvalidField."""
    return found(name, LINKS, "--link")
