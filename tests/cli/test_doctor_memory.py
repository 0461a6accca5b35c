"""The doctor says what models can use of this machine, where the rest is, and what would give them more."""

from dataclasses import asdict
from typing import Any

from cluster.config import NodeConfig
from cluster.core.memory.usable import AmdUnified, AppleGpu, Gpu, NodeMemory, NvidiaCard
from cluster.core.view import NodeView
from cluster.doctor.check import Check, Verdict
from cluster.doctor.memory import check_gpus, check_usable
from cluster.doctor.pool import check_nodes
from cluster.inventory.gpu import Found
from cluster.inventory.offer import offer

GIB = 2**30
ROOMY = NodeMemory(64 * GIB, 60 * GIB)


def checks(
    memory: NodeMemory = ROOMY, *gpus: Gpu, told: int | None = None, with_cards: bool = True
) -> list[Check]:
    found, config = Found(gpus), NodeConfig(models_bytes=told)
    made = offer(config, {}, memory, found, frozenset(), with_cards=with_cards)
    return check_usable(made, memory, found)


def test_each_part_is_named_and_one_in_order_needs_no_remedy() -> None:
    (found,) = checks()
    assert (
        found.detail == "main memory: 56.8 of 64.0 GiB for models (4.0 held by others, 3.2 kept in reserve)"
    )
    assert (found.verdict, found.remedy) == (Verdict.OK, "")


def test_a_mac_is_told_how_to_let_its_gpu_have_more() -> None:
    memory = NodeMemory(192 * GIB, 184 * GIB)
    (found,) = checks(memory, AppleGpu("Apple M2 Ultra", 192 * GIB))
    assert "144.0 of 192.0 GiB for models (8.0 held by others, 40.0 out of the GPU's reach)" in found.detail
    assert (
        found.remedy
        == "`sudo sysctl iogpu.wired_limit_mb=186777` gives models 30.4 GiB more, until the next boot."
    )
    raised = AppleGpu("Apple M2 Ultra", 192 * GIB, 186_777 * 2**20)
    assert "174.4 of 192.0 GiB for models" in checks(memory, raised)[0].detail
    assert checks(memory, raised)[0].remedy == ""


def test_a_mac_full_of_programs_is_told_to_close_them_and_not_to_raise_the_limit() -> None:
    (found,) = checks(NodeMemory(64 * GIB, 12 * GIB), AppleGpu("Apple M1 Max", 64 * GIB))
    assert found.remedy == "Close other programs."


def test_nothing_to_use_is_a_warning() -> None:
    (found,) = checks(NodeMemory(4 * GIB, GIB))
    assert (found.verdict, found.remedy) == (Verdict.WARN, "Close other programs.")


def test_a_container_is_told_of_its_limit() -> None:
    (found,) = checks(NodeMemory(64 * GIB, 60 * GIB, 8 * GIB, 2 * GIB))
    assert "4.5 of 8.0 GiB for models" in found.detail
    assert found.remedy == "Raise the memory limit of this container or service: 52.3 GiB more are free."


def test_a_number_that_a_person_gave_is_held_against_what_is_there() -> None:
    assert [check.verdict for check in checks(told=50 * GIB)] == [Verdict.OK, Verdict.OK]
    _, found = checks(told=62 * GIB)
    assert found.verdict is Verdict.WARN
    assert (
        "62.0 GiB, as HEARTH_MODELS_BYTES or `node.models_bytes` says, but 56.8 GiB are usable"
        in found.detail
    )


def test_unequal_cards_say_what_stays_empty() -> None:
    large, small = NvidiaCard("large", 24 * GIB, 24 * GIB), NvidiaCard("small", 12 * GIB, 12 * GIB)
    assert len(checks(ROOMY, large, large)) == 2
    *_, found = checks(ROOMY, large, small)
    assert found.detail.startswith("12.0 GiB of the larger cards stay empty")


def test_cards_without_an_engine_are_shown_with_what_would_use_them() -> None:
    card = NvidiaCard("NVIDIA H200", 141 * GIB, 140 * GIB)
    _, found = checks(ROOMY, card, with_cards=False)
    assert "NVIDIA H200: 139.0 of 141.0 GiB for models" in found.detail
    assert "make cuda" in found.remedy


def test_an_apu_is_shown_with_the_parameter_that_lets_it_reach_more() -> None:
    memory = NodeMemory(124 * GIB, 118 * GIB)
    _, found = checks(memory, AmdUnified("Radeon 8060S", 4 * GIB, 0, 62 * GIB, 0))
    assert "66.0 of 128.0 GiB for models" in found.detail
    assert "upstream" in found.remedy
    assert f"ttm.pages_limit={int(124 * GIB * 0.95) // 4096}" in found.remedy
    _, raised = checks(memory, AmdUnified("Radeon 8060S", 4 * GIB, 0, 120 * GIB, 0))
    assert "ttm" not in raised.remedy


def test_of_a_pool_that_runs_each_node_is_shown() -> None:
    found = check_nodes(seen(NodeView("studio", 96 * GIB, 31 * GIB, 80 * GIB, 53 * GIB, 5 * GIB)))
    assert [check.verdict for check in found] == [Verdict.OK]
    assert found[0].detail == "80.0 GiB for models, 53.0 held, 5.0 in reserve"


def test_memory_that_other_programs_took_since_the_start_is_said() -> None:
    (found,) = check_nodes(seen(NodeView("laptop", 16 * GIB, GIB, 12 * GIB, 7 * GIB)))
    assert found.verdict is Verdict.WARN
    assert "Of the 5.0 GiB left for models other programs took 4.0" in found.detail
    (rig,) = check_nodes(seen(NodeView("rig", 16 * GIB, GIB, 48 * GIB, 0, num_gpus=2)))
    assert rig.verdict is Verdict.OK, "the free memory is not that of the cards"


def seen(node: NodeView) -> dict[str, Any]:
    """The view as the gateway answers it."""
    return {"nodes": [asdict(node)]}


def test_no_gpu_is_no_failure() -> None:
    (found,) = check_gpus(Found())
    assert found.verdict is Verdict.WARN


def test_a_device_that_was_left_out_is_said() -> None:
    card = NvidiaCard("Tesla T4", 15 * GIB, None)
    fine, left_out = check_gpus(Found((card,), ("NVIDIA GB10: nvidia-smi does not tell its memory ([N/A])",)))
    assert (fine.verdict, fine.detail) == (Verdict.OK, "Tesla T4, 15 GiB")
    assert left_out.verdict is Verdict.WARN
    assert "GB10" in left_out.detail
