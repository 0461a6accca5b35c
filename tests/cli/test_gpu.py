"""What the tools and files of accelerators say, read back; what says something else is left out, and said."""

from pathlib import Path

import pytest

from cluster.core.memory.usable import AmdCard, AmdUnified, AppleGpu, NvidiaCard
from cluster.inventory.amd import read_amd
from cluster.inventory.gpu import Found, parse_nvidia_smi, parse_sysctl

GIB, MIB = 2**30, 2**20


def test_nvidia_smi_lists_every_card() -> None:
    text = "NVIDIA GeForce RTX 4090, 24564, 23028, 488\nNVIDIA H200, 143771, 143155, 610\n"
    assert parse_nvidia_smi(text) == Found(
        (
            NvidiaCard("NVIDIA GeForce RTX 4090", 24564 * MIB, 23028 * MIB, 488 * MIB),
            NvidiaCard("NVIDIA H200", 143771 * MIB, 143155 * MIB, 610 * MIB),
        )
    )


def test_an_old_driver_does_not_tell_what_it_holds() -> None:
    assert parse_nvidia_smi("Tesla T4, 15360, 15109\n").gpus == (
        NvidiaCard("Tesla T4", 15360 * MIB, 15109 * MIB),
    )


def test_a_card_that_shares_its_memory_tells_no_numbers() -> None:
    found = parse_nvidia_smi("NVIDIA GB10, [N/A], [N/A], [N/A]\nTesla T4, 15360, 15109, 251\n")
    assert [gpu.name for gpu in found.gpus] == ["Tesla T4"]
    assert found.left_out == ("NVIDIA GB10: nvidia-smi does not tell its memory ([N/A])",)


def test_free_memory_may_be_unknown() -> None:
    assert parse_nvidia_smi("Tesla T4, 15360, [N/A], [N/A]\n").gpus == (
        NvidiaCard("Tesla T4", 15360 * MIB, None),
    )


def test_a_comma_in_the_name_stays_in_the_name() -> None:
    assert parse_nvidia_smi("Card, second edition, 1024, 512, 10\n").gpus[0].name == "Card, second edition"


@pytest.mark.parametrize(
    "text",
    [
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        'Field "memory.reserved" is not a valid field to query.\n\n',
        "No devices were found\n",
    ],
)
def test_a_driver_that_does_not_answer_is_no_card_and_is_quoted(text: str) -> None:
    found = parse_nvidia_smi(text)
    assert found.gpus == ()
    assert found.left_out == (f"nvidia-smi says: {text.strip()}",)


def test_no_tool_is_no_finding() -> None:
    assert parse_nvidia_smi("") == parse_sysctl("") == Found()


def test_a_mac_studio_gives_its_gpu_three_quarters() -> None:
    text = "hw.memsize: 206158430208\niogpu.wired_limit_mb: 0\nmachdep.cpu.brand_string: Apple M2 Ultra\n"
    assert parse_sysctl(text).apple == AppleGpu("Apple M2 Ultra", 192 * GIB)
    assert AppleGpu("Apple M2 Ultra", 192 * GIB).limit_bytes == 144 * GIB


def test_a_small_mac_gives_its_gpu_two_thirds_and_may_lack_the_limit() -> None:
    apple = parse_sysctl("hw.memsize: 19327352832\nmachdep.cpu.brand_string: Apple M3 Pro\n").apple
    assert apple is not None
    assert apple.limit_bytes == 12 * GIB


def test_a_raised_limit_is_believed() -> None:
    text = "hw.memsize: 68719476736\niogpu.wired_limit_mb: 57344\nmachdep.cpu.brand_string: Apple M1 Max\n"
    apple = parse_sysctl(text).apple
    assert apple is not None
    assert apple.limit_bytes == 56 * GIB


def test_another_system_has_no_such_memory_and_says_so() -> None:
    found = parse_sysctl("sysctl: unknown oid 'hw.memsize'\n")
    assert (found.gpus, found.left_out) == ((), ("sysctl tells no hw.memsize",))


def amd_gpu(drm: Path, card: str, **files: str) -> None:
    """A GPU as the driver shows it: `mem_info_*` by the rest of their names, and other files by theirs."""
    device = drm / card / "device"
    device.mkdir(parents=True)
    for name, text in files.items():
        own = name in ("product_name", "uevent")
        (device / (name if own else f"mem_info_{name}")).write_text(text + "\n")


def test_amd_gpus_are_read_from_the_driver(tmp_path: Path) -> None:
    amd_gpu(
        tmp_path,
        "card0",
        vram_total=str(24 * GIB),
        vram_used=str(GIB),
        gtt_total=str(31 * GIB),
        gtt_used="0",
        vram_vendor="samsung",
        product_name="AMD Radeon RX 7900 XTX",
    )
    amd_gpu(
        tmp_path,
        "card1",
        vram_total=str(GIB // 2),
        vram_used=str(MIB),
        gtt_total=str(62 * GIB),
        gtt_used=str(2 * MIB),
        product_name="",
        uevent="DRIVER=amdgpu\nPCI_ID=1002:1586",
    )
    assert read_amd(tmp_path) == (
        [
            AmdCard("AMD Radeon RX 7900 XTX", 24 * GIB, GIB),
            AmdUnified("AMD GPU card1 (1002:1586)", GIB // 2, MIB, 62 * GIB, 2 * MIB),
        ],
        [],
    )


def test_an_amd_gpu_that_tells_no_numbers_is_left_out_and_named(tmp_path: Path) -> None:
    amd_gpu(tmp_path, "card0", vram_total="0x1000", vram_used="1", gtt_total="1")
    gpus, (words,) = read_amd(tmp_path)
    assert gpus == []
    assert (
        words
        == "AMD GPU card0: its driver tells no number of bytes in mem_info_vram_total, mem_info_gtt_used"
    )


def test_a_machine_without_amd_has_none(tmp_path: Path) -> None:
    assert read_amd(tmp_path / "none") == ([], [])
