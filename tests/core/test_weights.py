"""Weights: as many parameters and bytes as the published models have, and what each rank holds of them."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from bench.memory.models import MODELS
from bench.memory.published import KNOWN_MISSES, Published, published
from cluster.core.errors import InvalidField
from cluster.core.footprint import Run, rank_footprint
from cluster.core.layout import EngineKind, Variant, WeightsFormat
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.quantisation import quantisation_named
from cluster.core.memory.shares import WeightShares, shares_of
from cluster.core.memory.weights import largest_rank_bytes, rank_weights_bytes

PAIRS = published()

SMALL: dict[str, Any] = {
    "hidden_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
}
TABLE_BYTES = 1000 * 512 * 2
QUERY_BYTES = 512 * 512 * 2
KEY_BYTES = 512 * 2 * 64 * 2
NETWORK_BYTES = 3 * 512 * 1024 * 2
NORMS_BYTES = 2 * 512 * 2
LAYER_BYTES = 2 * QUERY_BYTES + 2 * KEY_BYTES + NETWORK_BYTES + NORMS_BYTES


def shares(config: dict[str, Any], quantisation: str = "bf16") -> WeightShares:
    return shares_of(parameters_of_config(config), quantisation_named(quantisation))


def size(config: dict[str, Any], quantisation: str = "bf16") -> int:
    return shares(config, quantisation).num_bytes


def ranks(config: dict[str, Any], engine: EngineKind, tensor: int = 1, pipeline: int = 1) -> tuple[int, ...]:
    return rank_weights_bytes(shares(config), engine, tensor, pipeline)


@cache
def ours(model: str, quantisation: str) -> int:
    return size(MODELS[model], quantisation)


def error(pair: Published, as_printed: bool = False) -> float:
    theirs = pair.printed_bytes if as_printed else pair.num_bytes
    return ours(pair.model, pair.quantisation) / theirs - 1


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.model}-{pair.quantisation}")
def test_a_published_model_takes_what_its_files_do(pair: Published) -> None:
    if pair.miss:
        assert abs(error(pair)) > 0.03, "it is no miss: take it off the list"
    else:
        assert error(pair) == pytest.approx(0, abs=0.03)


def test_most_pairs_are_met_even_as_they_are_printed() -> None:
    """As docs/memory.md says."""
    assert len(PAIRS) == 74
    assert sum(abs(error(pair)) <= 0.03 for pair in PAIRS) == 74 - len(KNOWN_MISSES) == 68
    assert sum(abs(error(pair)) <= 0.003 for pair in PAIRS) >= 50
    assert sum(abs(error(pair, as_printed=True)) <= 0.03 for pair in PAIRS) >= 55


@pytest.mark.parametrize(
    ("model", "billions", "active"),
    [
        ("Llama-3.1-8B", 8.03, 7.5),
        ("Qwen3-30B-A3B", 30.5, 3.0),
        ("Qwen3-235B-A22B", 235.1, 21.6),
        ("Qwen3-Coder-480B-A35B", 480.2, 34.5),
        ("gpt-oss-20b", 20.9, 3.6),
        ("gpt-oss-120b", 116.8, 5.1),
        ("DeepSeek-V3.1", 671.0, 36.6),
        ("GLM-4.5-Air", 106.9, 12.8),
        ("Nemotron-3-Nano-30B-A3B", 31.6, 3.2),
    ],
)
def test_a_model_has_as_many_weights_as_its_makers_say(model: str, billions: float, active: float) -> None:
    """Active ones without the embedding, of which a token reads a row."""
    counted = parameters_of_config(MODELS[model])
    assert counted.num_params / 1e9 == pytest.approx(billions, rel=0.002)
    assert counted.num_active / 1e9 == pytest.approx(active, rel=0.02)
    assert counted.doubts == ()


def test_an_index_of_sparse_attention_is_counted() -> None:
    without, beside = (parameters_of_config(MODELS[f"DeepSeek-V3.{number}"]).num_params for number in (1, 2))
    assert beside - without == 61 * (1536 * 64 * 128 + 7168 * (128 + 64))


def test_an_embedding_that_is_the_head_too_is_read_and_packed_like_one() -> None:
    tied = {**SMALL, "tie_word_embeddings": True}
    assert parameters_of_config(tied).num_active == parameters_of_config(SMALL).num_active
    assert size(SMALL, "q5_k_s") - size(tied, "q5_k_s") == 1000 * 512 * 176 // 256


def test_layers_that_are_described_one_by_one() -> None:
    """As pruned models are: a layer may lack attention or network, and has a network of its own width."""
    blocks = [
        {"attention": {"n_heads_in_group": 4}, "ffn": {"ffn_mult": 3.0}},
        {"attention": {"no_op": True}, "ffn": {"ffn_mult": 3.0}},
        {"attention": {"n_heads_in_group": 8}, "ffn": {"no_op": True}},
        {"attention": {"replace_with_linear": True}, "ffn": {"ffn_mult": 1.5}},
    ]
    taken = (2 * 2 + 1) * QUERY_BYTES + (2 + 1) * KEY_BYTES + 4 * NORMS_BYTES + 5 * NETWORK_BYTES // 2
    assert size({**SMALL, "block_configs": blocks}) == taken + 2 * TABLE_BYTES


def test_names_do_not_matter() -> None:
    named = {**MODELS["Kimi-K2"], "model_type": "llama", "architectures": ["Other"], "_name_or_path": "gpt2"}
    assert size(named, "4bit") == size(MODELS["Kimi-K2"], "4bit")


def test_what_is_missing_is_said() -> None:
    silent = {
        key: value
        for key, value in MODELS["Kimi-K2"].items()
        if key not in ("q_lora_rank", "n_shared_experts")
    }
    doubts = parameters_of_config(silent).doubts
    assert [doubt.split()[0] for doubt in doubts] == ["q_lora_rank", "n_shared_experts"]
    blind = {key: value for key, value in MODELS["Qwen3.5-27B"].items() if key != "vision_config"}
    assert any("vision_config" in doubt for doubt in parameters_of_config(blind).doubts)


def test_a_field_that_cannot_be_guessed_is_named() -> None:
    with pytest.raises(InvalidField, match="vocab_size"):
        parameters_of_config({key: value for key, value in SMALL.items() if key != "vocab_size"})


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        (
            {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 1024},
            4 * (3 * NETWORK_BYTES + 4096),
        ),
        (
            {
                "num_experts": 2,
                "num_experts_per_tok": 1,
                "moe_intermediate_size": 1024,
                "mlp_only_layers": [0, 1, 2],
            },
            NETWORK_BYTES + 2048,
        ),
        ({"hidden_act": "relu2"}, -4 * NETWORK_BYTES // 3),
        ({"attn_output_gate": True}, 4 * QUERY_BYTES),
        ({"tie_word_embeddings": True}, -TABLE_BYTES),
        ({"num_kv_shared_layers": 3}, -3 * 2 * KEY_BYTES),
        ({"attention_k_eq_v": True}, -4 * KEY_BYTES),
        ({"use_head_wise_attn_gate": True}, 4 * 512 * 8 * 2),
        ({"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 1000}, 1000 * 4 * 8 * 2),
    ],
    ids=[
        "experts",
        "experts in the last layer",
        "no gate in the network",
        "gated attention",
        "tied",
        "borrowed keys",
        "values that are keys",
        "gated heads",
        "numbers for each layer",
    ],
)
def test_a_field_changes_the_weights(more: dict[str, Any], changed: int) -> None:
    assert size({**SMALL, **more}) - size(SMALL) == changed


def test_the_small_model_is_counted_by_hand() -> None:
    assert size(SMALL) == 4 * LAYER_BYTES + 2 * TABLE_BYTES


def test_ranks_share_layers_and_vllm_the_tables_too() -> None:
    [rank] = ranks(SMALL, EngineKind.VLLM, tensor=2)
    assert rank == (4 * (LAYER_BYTES - NORMS_BYTES) + 2 * TABLE_BYTES) // 2 + 4 * NORMS_BYTES
    [rank] = ranks(SMALL, EngineKind.MLX, tensor=2)
    assert rank == 4 * (LAYER_BYTES - NORMS_BYTES) // 2 + 4 * NORMS_BYTES + 2 * TABLE_BYTES


def test_more_ranks_than_kv_heads_hold_copies() -> None:
    [rank] = ranks(SMALL, EngineKind.VLLM, tensor=4)
    alone = (2 * QUERY_BYTES + NETWORK_BYTES) // 4 + 2 * KEY_BYTES // 2 + NORMS_BYTES
    assert rank == 4 * alone + 2 * TABLE_BYTES // 4


def test_the_rows_of_mla_are_made_by_every_rank() -> None:
    config = MODELS["DeepSeek-V3.1"]
    [one], [eight] = ranks(config, EngineKind.VLLM), ranks(config, EngineKind.VLLM, tensor=8)
    down = 61 * 7168 * (1536 + 512 + 64) * 2
    assert 8 * eight - one == pytest.approx(7 * down, rel=0.15), "and routers, and norms"


def test_the_ends_of_a_pipeline_hold_the_tables() -> None:
    assert ranks(SMALL, EngineKind.VLLM, pipeline=2) == (2 * LAYER_BYTES + TABLE_BYTES,) * 2
    assert ranks(SMALL, EngineKind.MLX, pipeline=2) == (2 * LAYER_BYTES + 2 * TABLE_BYTES,) * 2
    three = ranks(SMALL, EngineKind.VLLM, pipeline=3)
    assert three == (2 * LAYER_BYTES + TABLE_BYTES, LAYER_BYTES, LAYER_BYTES + TABLE_BYTES)


def test_a_pipelines_first_stages_hold_the_layers_that_are_over() -> None:
    experts = {"num_experts": 64, "num_experts_per_tok": 1, "moe_intermediate_size": 64}
    first, second, last = ranks({**SMALL, **experts, "first_k_dense_replace": 3}, EngineKind.VLLM, pipeline=3)
    assert (first, second) == (2 * LAYER_BYTES + TABLE_BYTES, LAYER_BYTES)
    assert last > LAYER_BYTES + TABLE_BYTES, "the layer of experts is the last"


def test_both_ends_hold_an_embedding_that_is_the_head_too() -> None:
    tied = {**SMALL, "tie_word_embeddings": True}
    assert ranks(tied, EngineKind.VLLM, pipeline=2) == (2 * LAYER_BYTES + TABLE_BYTES,) * 2
    assert ranks(tied, EngineKind.VLLM) == (4 * LAYER_BYTES + TABLE_BYTES,)


def test_a_list_that_is_too_short_is_named() -> None:
    sparse = {"num_experts": 4, "moe_intermediate_size": 64, "mlp_layer_types": ["dense", "sparse"]}
    with pytest.raises(InvalidField, match="mlp_layer_types"):
        parameters_of_config({**SMALL, **sparse})


@pytest.mark.parametrize("engine", [EngineKind.MLX, EngineKind.VLLM])
def test_the_planner_counts_what_a_rank_really_holds(engine: EngineKind) -> None:
    counted = shares(SMALL)
    even = Variant("m", WeightsFormat.SAFETENSORS, "bf16", counted.num_bytes, 0, 4096)
    run = Run(engine, 1024, tensor_parallel=2)
    [rank] = ranks(SMALL, engine, tensor=2)
    assert rank_footprint(replace(even, shares=counted), run).weights_bytes == rank
    assert rank_footprint(even, run).weights_bytes == counted.num_bytes // 2 < rank


def test_the_size_of_the_files_wins() -> None:
    counted = shares(SMALL)
    [one], [two] = ranks(SMALL, EngineKind.MLX), ranks(SMALL, EngineKind.MLX, tensor=2)
    found = largest_rank_bytes(counted, 3 * counted.num_bytes, EngineKind.MLX, tensor_parallel=2)
    assert (one, found) == (counted.num_bytes, 3 * two)
