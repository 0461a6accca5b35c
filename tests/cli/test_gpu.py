"""What the tools of accelerators print, read back."""

from cluster.inventory.gpu import Gpu, parse_nvidia_smi, parse_sysctl

GIB = 2**30


def test_nvidia_smi_lists_every_card() -> None:
    text = "NVIDIA GeForce RTX 4090, 24564, 23028\nNVIDIA H200, 143771, 143155\n"
    assert parse_nvidia_smi(text) == (
        Gpu("NVIDIA GeForce RTX 4090", 24564 * 2**20, 23028 * 2**20),
        Gpu("NVIDIA H200", 143771 * 2**20, 143155 * 2**20),
    )


def test_a_card_that_shares_its_memory_tells_no_numbers() -> None:
    assert parse_nvidia_smi("NVIDIA GB10, [N/A], [N/A]\n") == ()


def test_free_memory_may_be_unknown() -> None:
    assert parse_nvidia_smi("Tesla T4, 15360, [N/A]\n") == (Gpu("Tesla T4", 15360 * 2**20, None),)


def test_a_comma_in_the_name_stays_in_the_name() -> None:
    assert parse_nvidia_smi("Card, second edition, 1024, 512\n")[0].name == "Card, second edition"


def test_a_driver_that_does_not_answer_is_no_card() -> None:
    text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    assert parse_nvidia_smi(text) == ()


def test_a_mac_studio_gives_its_gpu_three_quarters() -> None:
    text = "hw.memsize: 206158430208\niogpu.wired_limit_mb: 0\nmachdep.cpu.brand_string: Apple M2 Ultra\n"
    assert parse_sysctl(text) == (Gpu("Apple M2 Ultra", 144 * GIB, None, unified=True),)


def test_a_small_mac_gives_its_gpu_two_thirds_and_may_lack_the_limit() -> None:
    text = "hw.memsize: 19327352832\nmachdep.cpu.brand_string: Apple M3 Pro\n"
    assert parse_sysctl(text) == (Gpu("Apple M3 Pro", 12 * GIB, None, unified=True),)


def test_a_raised_limit_is_believed() -> None:
    text = "hw.memsize: 68719476736\niogpu.wired_limit_mb: 57344\nmachdep.cpu.brand_string: Apple M1 Max\n"
    assert parse_sysctl(text)[0].memory_bytes == 56 * GIB


def test_another_system_has_no_such_memory() -> None:
    assert parse_sysctl("sysctl: unknown oid 'hw.memsize'\n") == ()
