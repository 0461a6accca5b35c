"""The speed model: its words, its directions, and how near it comes to what is published."""

from __future__ import annotations

from statistics import median

import pytest

from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind
from cluster.core.memory.quantisation import quantisation_named
from cluster.core.speed.fit import predicted
from cluster.core.speed.fitted import FITTED
from cluster.core.speed.known_models import MODELS, known_model
from cluster.core.speed.machines import LINKS, MACHINES, known_link, known_machine
from cluster.core.speed.model import Limit, Rig, Split, decode_step, prefill
from cluster.core.speed.points import POINTS, SOURCES
from cluster.core.speed.work import Work, work_of

DEPTH_TOKENS = 32_768


def work(model: str, quantisation: str = "mxfp4_moe") -> Work:
    return work_of(known_model(model), quantisation_named(quantisation))


def rig(machine: str, num: int = 1, split: Split = Split.NONE, link: str = "") -> Rig:
    engine = EngineKind.MLX if machine.startswith("m") else EngineKind.LLAMACPP
    return Rig(known_machine(machine), engine, num, split, known_link(link) if link else None)


@pytest.mark.parametrize(
    ("model", "billions", "active_billions"),
    [
        ("gpt-oss-120b", 116.8, 5.1),
        ("gpt-oss-20b", 20.9, 3.6),
        ("DeepSeek-V3.1", 671.0, 37.0),
        ("Qwen3-235B-A22B", 235.1, 22.0),
        ("Llama-3.3-70B", 70.6, 70.0),
    ],
)
def test_a_known_model_has_the_weights_its_makers_publish(
    model: str, billions: float, active_billions: float
) -> None:
    found = work(model, "bf16")
    layers = found.fixed_params + found.routed_params
    embedding = found.head_params
    assert (layers + found.head_params + embedding) / 1e9 == pytest.approx(billions, rel=0.003)
    assert found.active_params() / 1e9 == pytest.approx(active_billions, rel=0.03)


def test_there_are_points_enough_and_each_says_where_it_is_from() -> None:
    assert len(POINTS) >= 30
    assert {point.source for point in POINTS} == set(SOURCES)


def test_the_constants_explain_the_published_points() -> None:
    errors = [abs(predicted(point, FITTED) / point.tokens_s - 1) for point in POINTS if not point.doubt]
    assert median(errors) <= 0.07
    assert sum(error > 0.25 for error in errors) <= 2


def test_decode_slows_with_depth_and_says_what_limits() -> None:
    spark = rig("dgx-spark")
    shallow = decode_step(work("gpt-oss-120b"), spark, FITTED, (0,))
    deep = decode_step(work("gpt-oss-120b"), spark, FITTED, (DEPTH_TOKENS,))
    assert shallow.limit is Limit.MEMORY
    assert deep.seconds / shallow.seconds == pytest.approx(59.05 / 42.87, rel=0.1)


def test_a_small_active_model_on_a_fast_card_is_far_from_the_bandwidth() -> None:
    spent = decode_step(work("gpt-oss-20b"), rig("rtx-5090"), FITTED, (0,))
    assert spent.overhead_s > 0.4 * spent.seconds


def test_a_step_for_many_reads_the_weights_that_all_share_once() -> None:
    one = decode_step(work("Llama-3.1-8B", "q8_0"), rig("rtx-3090"), FITTED, (0,))
    eight = decode_step(work("Llama-3.1-8B", "q8_0"), rig("rtx-3090"), FITTED, (0,) * 8)
    assert eight.seconds < 1.1 * one.seconds
    experts = decode_step(work("gpt-oss-120b"), rig("dgx-spark"), FITTED, (0,) * 8)
    assert experts.seconds > 2 * decode_step(work("gpt-oss-120b"), rig("dgx-spark"), FITTED, (0,)).seconds


def test_prefill_is_bound_by_compute_and_slows_with_depth() -> None:
    ultra, llama = rig("m3-ultra-512"), work("Llama-3.3-70B", "4bit")
    short = prefill(llama, ultra, FITTED, 0, 4096)
    long = prefill(llama, ultra, FITTED, 0, 131_072)
    assert short.limit is Limit.COMPUTE
    assert (long.seconds / 131_072) / (short.seconds / 4096) == pytest.approx(169.5 / 74, rel=0.1)


def test_tensor_parallel_pays_over_rdma_and_not_over_ethernet() -> None:
    """Published: 19.5 tokens a second on one, 26.2 on two over RDMA."""
    qwen = work("Qwen3-235B-A22B", "8bit")

    def speed(*args: object) -> float:
        return 1 / decode_step(qwen, rig("m3-ultra-512", *args), FITTED, (128,)).seconds  # ty: ignore[invalid-argument-type]

    one, rdma = speed(), speed(2, Split.TENSOR, "tb5-rdma")
    ethernet = speed(2, Split.TENSOR, "1gbe")
    assert rdma == pytest.approx(26.2, rel=0.1)
    assert ethernet < 0.75 * one
    slow = decode_step(qwen, rig("m3-ultra-512", 2, Split.TENSOR, "1gbe"), FITTED, (128,))
    assert slow.limit is Limit.NETWORK


def test_the_latency_of_tcp_alone_caps_a_large_model() -> None:
    """80 layers, two all-reduces each, 300 us: 21 tokens a second however fast the machines are."""
    spent = decode_step(
        work("Llama-3.3-70B", "4bit"), rig("m3-ultra-512", 2, Split.TENSOR, "10gbe"), FITTED, (0,)
    )
    assert 1 / spent.network_s == pytest.approx(20.8, rel=0.05)


def test_an_unknown_machine_names_those_that_are_near() -> None:
    with pytest.raises(InvalidField, match=r"rtx-3090.*") as caught:
        known_machine("rtx3090")
    assert caught.value.field == "--machine"
    with pytest.raises(InvalidField, match="m3-ultra-512"):
        known_machine("M3 Ultra 512GB")


def test_an_unknown_model_is_told_how_to_plan_it_all_the_same() -> None:
    with pytest.raises(InvalidField, match=r"MiniMax-M2\.1.*--config FILE"):
        known_model("minimax-m2.3")


def test_names_are_found_whatever_their_capitals_and_owner() -> None:
    assert known_model("openai/GPT-OSS-120B") is MODELS["gpt-oss-120b"]
    assert known_machine("RTX-3090") is MACHINES["rtx-3090"]


def test_no_machine_gives_all_its_memory_to_models() -> None:
    assert all(0 < machine.usable_bytes < machine.memory_bytes for machine in MACHINES.values())
    assert all(link.latency_s > 0 for link in LINKS.values())
