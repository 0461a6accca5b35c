"""What of a node's memory models can use, device by device, and where the rest of it is.

    total  =  others  +  barred  +  reserve  +  usable

`others`: programs, the system and drivers hold it.  `barred`: free, but kept from the device by a limit that
a person can raise.  `reserve`: left free on purpose, stated below for each kind of memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

POOL_BYTES = 3 * 2**29
"""What a pool takes of main memory beside its models: Ray, the router, a gateway and one front.  The doctor
wants so much free before a start."""

SYSTEM_SHARE = Fraction(1, 20)
"""Of main memory, where that is more than the pool takes: for what other programs come to want while models
are loaded.  Chosen, not measured."""

CARD_BYTES = 2**30
"""Of a card: for the desktop on it and what its driver allocates late.  llama.cpp's own margin for each
device (tools/fit-params: 1024 MiB).  CUDA context, graphs and buffers are counted by the footprint."""

APPLE_SMALL_BYTES = 36 * 2**30
APPLE_SMALL_SHARE = Fraction(2, 3)
APPLE_LARGE_SHARE = Fraction(3, 4)
"""What macOS lets its GPU wire where `iogpu.wired_limit_mb` is 0: two thirds up to 36 GiB and three quarters
above.  Apple does not document it; published are 10.7 of 16, 21 of 32 and 96 of 128 GB.  macOS 26 was seen to
allow more (107.5 of 128 GiB), so this is a lower bound."""


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """Main memory; on a Mac, and beside an AMD APU, the GPU shares it.

    `available_bytes`: what programs can get without swapping (`MemAvailable`).  `limit_bytes`: what the
    control group lets this node's processes hold, None where it does not limit; `limit_used_bytes`: what they
    do.
    """

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None = None
    limit_used_bytes: int = 0

    @property
    def most_bytes(self) -> int:
        return self.total_bytes if self.limit_bytes is None else min(self.total_bytes, self.limit_bytes)

    @property
    def free_bytes(self) -> int:
        free = min(self.available_bytes, self.total_bytes)
        if self.limit_bytes is not None:
            free = min(free, self.limit_bytes - self.limit_used_bytes)
        return max(free, 0)


@dataclass(frozen=True, slots=True)
class NvidiaCard:
    """As NVML counts: `free_bytes` is without the `driver_bytes` that driver and firmware hold; None: it is
    not told, and all but those is taken to be free."""

    name: str
    total_bytes: int
    free_bytes: int | None
    driver_bytes: int = 0


@dataclass(frozen=True, slots=True)
class AppleGpu:
    """Unified memory.  `wired_limit_bytes`: `iogpu.wired_limit_mb`; 0: the system's own limit."""

    name: str
    memory_bytes: int
    wired_limit_bytes: int = 0

    @property
    def limit_bytes(self) -> int:
        """What the GPU may wire."""
        is_small = self.memory_bytes <= APPLE_SMALL_BYTES
        share = APPLE_SMALL_SHARE if is_small else APPLE_LARGE_SHARE
        return min(self.wired_limit_bytes or int(self.memory_bytes * share), self.memory_bytes)


@dataclass(frozen=True, slots=True)
class AmdCard:
    """A card with memory of its own (VRAM)."""

    name: str
    total_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class AmdUnified:
    """An APU.  `vram_bytes`: what the firmware has taken out of main memory for its GPU; `gtt_bytes`: what
    the GPU may map of the rest (`ttm.pages_limit`).  Both with what is used of them."""

    name: str
    vram_bytes: int
    vram_used_bytes: int
    gtt_bytes: int
    gtt_used_bytes: int


Gpu = NvidiaCard | AppleGpu | AmdCard | AmdUnified


@dataclass(frozen=True, slots=True)
class Usable:
    """The bytes of one device; the four parts add up to the total."""

    device: str
    total_bytes: int
    others_bytes: int
    barred_bytes: int
    reserve_bytes: int
    usable_bytes: int


def usable(device: NodeMemory | Gpu, memory: NodeMemory) -> Usable:
    """What models can use of the device; `memory`: the main memory of its node."""
    match device:
        case NodeMemory():
            return _main(device)
        case NvidiaCard():
            untaken = device.total_bytes - device.driver_bytes
            free = untaken if device.free_bytes is None else min(device.free_bytes, untaken)
            return _card(device.name, device.total_bytes, free)
        case AmdCard():
            return _card(device.name, device.total_bytes, device.total_bytes - device.used_bytes)
        case AppleGpu():
            return _apple(device, memory)
        case AmdUnified():
            return _apu(device, memory)


def gang_bytes(cards: Iterable[Usable], num_ranks: int) -> int:
    """What a gang of `num_ranks` equal ranks, a card each, can use: so many times the smallest of the largest
    cards; 0 where there are too few."""
    largest = sorted((card.usable_bytes for card in cards), reverse=True)[:num_ranks]
    return num_ranks * largest[-1] if 0 < num_ranks <= len(largest) else 0


def split_bytes(cards: Sequence[Usable]) -> int:
    """What an engine can use that gives each card as many layers as fit there (llama.cpp): the sum."""
    return sum(card.usable_bytes for card in cards)


def system_reserve_bytes(memory: NodeMemory) -> int:
    """What main memory keeps free for the pool and for other programs."""
    return max(POOL_BYTES, int(memory.most_bytes * SYSTEM_SHARE))


def _main(memory: NodeMemory) -> Usable:
    free = memory.free_bytes
    return _parts("main memory", memory.most_bytes, free, free, min(system_reserve_bytes(memory), free))


def _card(name: str, total_bytes: int, free_bytes: int) -> Usable:
    free = max(min(free_bytes, total_bytes), 0)
    return _parts(name, total_bytes, free, free, min(CARD_BYTES, free))


def _apple(gpu: AppleGpu, memory: NodeMemory) -> Usable:
    free = memory.free_bytes
    reach = min(free, gpu.limit_bytes)
    return _parts(gpu.name, memory.most_bytes, free, reach, _still(memory, reach))


def _apu(gpu: AmdUnified, memory: NodeMemory) -> Usable:
    own = max(gpu.vram_bytes - gpu.vram_used_bytes, 0)
    mapped = min(memory.free_bytes, max(gpu.gtt_bytes - gpu.gtt_used_bytes, 0))
    total, free = gpu.vram_bytes + memory.most_bytes, own + memory.free_bytes
    return _parts(gpu.name, total, free, own + mapped, _still(memory, mapped))


def _still(memory: NodeMemory, reach_bytes: int) -> int:
    """The reserve that is still to be taken of what a GPU can reach: what it cannot reach serves the system
    too."""
    barred = memory.free_bytes - reach_bytes
    return min(max(system_reserve_bytes(memory) - barred, 0), reach_bytes)


def _parts(device: str, total_bytes: int, free_bytes: int, reach_bytes: int, reserve_bytes: int) -> Usable:
    return Usable(
        device,
        total_bytes,
        others_bytes=total_bytes - free_bytes,
        barred_bytes=free_bytes - reach_bytes,
        reserve_bytes=reserve_bytes,
        usable_bytes=reach_bytes - reserve_bytes,
    )
