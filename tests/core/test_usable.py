"""What of a node's memory models can use: never what is not there, and each byte is accounted for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.core.memory.usable import (
    CARD_BYTES,
    POOL_BYTES,
    AmdCard,
    AmdUnified,
    AppleGpu,
    Gpu,
    NodeMemory,
    NvidiaCard,
    Usable,
    gang_bytes,
    split_bytes,
    usable,
)

GIB = 2**30
RIG = NodeMemory(64 * GIB, 60 * GIB)
SIZES = st.integers(0, 600 * GIB)


def parts(part: Usable) -> tuple[float, ...]:
    """Others, barred, reserve, usable, in GiB."""
    sizes = (part.others_bytes, part.barred_bytes, part.reserve_bytes, part.usable_bytes)
    return tuple(round(size / GIB, 1) for size in sizes)


@pytest.mark.parametrize(
    ("device", "memory", "expected"),
    [
        # A laptop: the pool's own processes come before models.
        (NodeMemory(16 * GIB, 9 * GIB), RIG, (7.0, 0.0, 1.5, 7.5)),
        (NodeMemory(128 * GIB, 120 * GIB), RIG, (8.0, 0.0, 6.4, 113.6)),
        # A container of 8 GiB that uses 2 of them on a machine with 60 free.
        (NodeMemory(64 * GIB, 60 * GIB, 8 * GIB, 2 * GIB), RIG, (2.0, 0.0, 1.5, 4.5)),
        (NodeMemory(64 * GIB, 3 * GIB, 8 * GIB, 2 * GIB), RIG, (5.0, 0.0, 1.5, 1.5)),
        (NvidiaCard("RTX 3090", 24 * GIB, 23 * GIB, GIB // 2), RIG, (1.0, 0.0, 1.0, 22.0)),
        (NvidiaCard("RTX 3090", 24 * GIB, None, GIB // 2), RIG, (0.5, 0.0, 1.0, 22.5)),
        (AmdCard("RX 7900", 24 * GIB, 4 * GIB), RIG, (4.0, 0.0, 1.0, 19.0)),
    ],
)
def test_known_devices(device: NodeMemory | Gpu, memory: NodeMemory, expected: tuple[float, ...]) -> None:
    assert parts(usable(device, memory)) == expected


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "limit_mib", "expected"),
    [
        (16, 12, 0, (4.0, 1.3, 0.2, 10.5)),
        (192, 184, 0, (8.0, 40.0, 0.0, 144.0)),
        (512, 500, 0, (12.0, 116.0, 0.0, 384.0)),
        # Raised to all but 4 GiB: what macOS does not bar any more, the reserve keeps.
        (192, 184, 188 * 1024, (8.0, 0.0, 9.6, 174.4)),
        # Programs hold so much that the limit is not reached.
        (64, 20, 0, (44.0, 0.0, 3.2, 16.8)),
    ],
)
def test_a_mac(total_gib: int, free_gib: int, limit_mib: int, expected: tuple[float, ...]) -> None:
    memory = NodeMemory(total_gib * GIB, free_gib * GIB)
    assert parts(usable(AppleGpu("chip", memory.total_bytes, limit_mib * 2**20), memory)) == expected


def test_an_apu_has_its_own_part_and_what_it_may_map_of_the_rest() -> None:
    """A Strix Halo of 128 GiB, 4 of which are the GPU's own; by default it may map half of the rest."""
    memory = NodeMemory(124 * GIB, 118 * GIB)
    default = AmdUnified("Radeon 8060S", 4 * GIB, GIB, 62 * GIB, 0)
    assert parts(usable(default, memory)) == (7.0, 56.0, 0.0, 65.0)
    raised = replace(default, gtt_bytes=120 * GIB)
    assert parts(usable(raised, memory)) == (7.0, 0.0, 6.2, 114.8)


def test_a_gang_has_equal_parts_and_layers_need_not_be() -> None:
    cards = [usable(NvidiaCard("card", gib * GIB, gib * GIB), RIG) for gib in (24, 8, 24, 12)]
    assert [gang_bytes(cards, ranks) // GIB for ranks in range(6)] == [0, 23, 46, 33, 28, 0]
    assert split_bytes(cards) == (23 + 7 + 23 + 11) * GIB


def devices(free: int) -> st.SearchStrategy[NodeMemory | Gpu]:
    """Of any kind and size, with `free` bytes of its own free, as far as it has so many."""
    name = st.just("device")
    return st.one_of(
        st.builds(NodeMemory, SIZES, st.just(free), st.none() | SIZES, SIZES),
        st.builds(NvidiaCard, name, SIZES, st.just(free), SIZES),
        st.builds(AppleGpu, name, SIZES, SIZES),
        SIZES.map(lambda total: AmdCard("device", total, max(total - free, 0))),
        st.builds(AmdUnified, name, SIZES, SIZES, SIZES, SIZES),
    )


MEMORIES = st.builds(NodeMemory, SIZES, SIZES, st.none() | SIZES, SIZES)


@given(device=SIZES.flatmap(devices), memory=MEMORIES)
def test_every_byte_is_in_one_part_and_none_is_negative(device: NodeMemory | Gpu, memory: NodeMemory) -> None:
    part = usable(device, memory)
    sizes = (part.others_bytes, part.barred_bytes, part.reserve_bytes, part.usable_bytes)
    assert sum(sizes) == part.total_bytes
    assert min(sizes) >= 0


@given(device=SIZES.flatmap(devices), memory=MEMORIES)
def test_never_more_than_is_free_less_the_reserve(device: NodeMemory | Gpu, memory: NodeMemory) -> None:
    part = usable(device, memory)
    match device:
        case NodeMemory():
            assert part.usable_bytes <= max(device.free_bytes - POOL_BYTES, 0)
        case NvidiaCard():
            assert part.usable_bytes <= max((device.free_bytes or 0) - CARD_BYTES, 0)
        case AmdCard():
            assert part.usable_bytes <= max(device.total_bytes - device.used_bytes - CARD_BYTES, 0)
        case AppleGpu():
            assert part.usable_bytes <= min(max(memory.free_bytes - POOL_BYTES, 0), device.limit_bytes)
        case AmdUnified():
            assert part.usable_bytes <= device.vram_bytes + max(memory.free_bytes - POOL_BYTES, 0)


@given(data=st.data(), free=SIZES, more=SIZES, memory=MEMORIES)
def test_more_free_memory_is_never_less_to_use(
    data: st.DataObject, free: int, more: int, memory: NodeMemory
) -> None:
    device = data.draw(devices(free))
    roomier = replace(memory, available_bytes=memory.available_bytes + more)
    match device:
        case NodeMemory():
            freer: NodeMemory | Gpu = replace(device, available_bytes=free + more)
        case NvidiaCard():
            freer = replace(device, free_bytes=free + more)
        case AmdCard():
            freer = replace(device, used_bytes=max(device.used_bytes - more, 0))
        case AmdUnified():
            freer = replace(device, gtt_used_bytes=max(device.gtt_used_bytes - more, 0))
        case AppleGpu():
            freer = device
    assert usable(freer, roomier).usable_bytes >= usable(device, memory).usable_bytes
