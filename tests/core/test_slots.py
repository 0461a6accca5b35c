"""Fewer slots, then fewer checkpoints, before a smaller variant or none."""

from dataclasses import replace

import pytest

from cluster.core.layout import EngineKind, Layout, ModelWish, NodeFacts, NoRoom, Variant, WeightsFormat
from cluster.core.memory.config import shape_of_config
from cluster.core.plan import plan
from cluster.core.slots import choices
from tests.core.known_homes import CPU_SERVER, EIGHT_B, GB, GIB, MAC, all_free, home
from tests.core.known_models import MODELS

GEMMA = Variant(
    "gemma-3-27b-q4_k_m.gguf",
    WeightsFormat.GGUF,
    "q4_k_m",
    165 * GB // 10,
    81_920,
    131_072,
    shape=shape_of_config(MODELS["Gemma-3-27B"].config),
)
SMALLER = replace(GEMMA, source="gemma-3-27b-q2_k.gguf", quantisation="q2_k", weights_bytes=105 * GB // 10)
MAC_32_BYTES = 32 * GIB * 2 // 3
"""What the GPU of a Mac with 32 GB may have."""


def answer(models_bytes: int, wish: ModelWish) -> Layout | NoRoom:
    nodes = home(a=replace(MAC, models_bytes=models_bytes))
    return plan(wish, nodes, all_free(nodes))


def chosen(models_bytes: int, wish: ModelWish) -> Layout:
    layout = answer(models_bytes, wish)
    assert isinstance(layout, Layout), layout
    assert layout.memory_bytes <= models_bytes
    return layout


def test_a_gemma_of_27b_runs_on_a_mac_of_32_gb() -> None:
    layout = chosen(MAC_32_BYTES, ModelWish((GEMMA, SMALLER)))
    assert (layout.quantisation, layout.num_slots, layout.num_checkpoints) == ("q4_k_m", 1, 3)
    assert layout.context_tokens >= 8192


@pytest.mark.parametrize(
    ("gib", "expected"),
    [
        (28, ("q4_k_m", 4, 3)),
        (25, ("q4_k_m", 3, 3)),
        (23, ("q4_k_m", 2, 3)),
        (21, ("q4_k_m", 1, 3)),
        (20, ("q4_k_m", 1, 2)),
        (19.6, ("q4_k_m", 1, 1)),
        (19.1, ("q4_k_m", 1, 0)),
        (18, ("q2_k", 3, 3)),
    ],
)
def test_slots_go_first_then_checkpoints_then_the_variant(gib: float, expected: tuple[str, int, int]) -> None:
    layout = chosen(int(gib * GIB), ModelWish((GEMMA, SMALLER)))
    assert (layout.quantisation, layout.num_slots, layout.num_checkpoints) == expected


def test_slots_that_the_owner_wrote_are_kept() -> None:
    assert (found := chosen(21 * GIB, ModelWish((GEMMA,), slots=4))).num_slots == 4
    assert found.num_checkpoints == 0, "the rest gives way"
    told = answer(20 * GIB, ModelWish((GEMMA,), slots=4, context_tokens=8192))
    assert isinstance(told, NoRoom)
    assert "fewer `slots`" in told.remedy


def test_who_wrote_none_is_not_told_to_lower_them() -> None:
    told = answer(18 * GIB, ModelWish((GEMMA,)))
    assert isinstance(told, NoRoom)
    assert "`slots`" not in told.remedy
    assert "gemma-3-27b-q4_k_m.gguf needs 18.5 GiB" in told.problem, "as little as it could do with"


def test_the_context_that_the_owner_wrote_keeps_the_slots_that_hold_it() -> None:
    short = replace(GEMMA, window_tokens=8192)
    layout = chosen(24 * GIB, ModelWish((short,), context_tokens=16_384))
    assert (layout.num_slots, layout.context_tokens) == (2, 16_384)


@pytest.mark.parametrize("engine", EngineKind)
def test_the_first_choice_is_the_usual_one_and_each_next_needs_less(engine: EngineKind) -> None:
    found = choices(ModelWish((GEMMA,)), GEMMA, engine)
    assert found[-1].num_slots == 1
    assert found[-1].num_checkpoints == 0
    pairs = [(each.num_slots, each.num_checkpoints) for each in found]
    assert pairs == sorted(set(pairs), reverse=True)


def test_states_of_a_hybrid_model_give_way_on_other_engines_too() -> None:
    """16 states of 147 MiB are 2.3 GiB."""
    shape = shape_of_config(MODELS["Qwen3.5-27B"].config)
    hybrid = Variant("qwen", WeightsFormat.SAFETENSORS, "bf16", GB, 65_536, 131_072, shape=shape)
    nodes = home(a=replace(CPU_SERVER, models_bytes=5 * GIB))
    layout = plan(ModelWish((hybrid,), EngineKind.VLLM), nodes, all_free(nodes))
    assert isinstance(layout, Layout), layout
    assert layout.num_slots is not None
    assert 1 < layout.num_slots < 16


def test_a_model_without_windows_loses_no_slots() -> None:
    """They would not save a byte."""
    laptop = NodeFacts(12 * GIB, engines=frozenset({EngineKind.LLAMACPP}))
    layout = plan(ModelWish(EIGHT_B), home(a=laptop), all_free(home(a=laptop)))
    assert isinstance(layout, Layout)
    assert (layout.num_slots, layout.num_checkpoints) == (4, 3)
