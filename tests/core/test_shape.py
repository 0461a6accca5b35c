"""What a model keeps of its tokens, read from the fields of its config.json or its GGUF."""

import json
from pathlib import Path

import pytest

from cluster.core.errors import InvalidField
from cluster.core.memory.cache import Keeping, kv_token_bytes, sequence_bytes
from cluster.core.memory.config import shape_of_config
from cluster.core.memory.gguf import shape_of_gguf
from cluster.core.memory.shape import Attention, Latent, Recurrent
from tests.core.known_models import MIB, MODELS, delta_state, grouped, latent

PUBLISHED = Path(__file__).parents[3] / "shared" / "models" / "configs.json"
"""Lies beside a checkout where there are more models to compare; the table of ours does without."""

SAME_SHAPE = {
    "meta-llama/Meta-Llama-3.1-8B": "Llama-3.1-8B",
    "meta-llama/Meta-Llama-3.1-70B": "Llama-3.3-70B",
    "Qwen/Qwen3-8B": "Qwen3-8B",
    "Qwen/Qwen3-32B": "Qwen3-32B",
    "Qwen/Qwen3-30B-A3B": "Qwen3-Coder-30B-A3B",
    "Qwen/Qwen3-235B-A22B": "Qwen3-235B-A22B",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": "Qwen3-Coder-480B-A35B",
    "Qwen/Qwen3.5-35B-A3B": "Qwen3.5-35B-A3B",
    "Qwen/Qwen3.5-27B": "Qwen3.5-27B",
    "Qwen/Qwen3.5-122B-A10B": "Qwen3.5-122B-A10B",
    "Qwen/Qwen3.5-397B-A17B": "Qwen3.5-397B-A17B",
    "MiniMaxAI/MiniMax-M2.5": "MiniMax-M2.1",
    "deepseek-ai/DeepSeek-V3": "DeepSeek-V3",
    "deepseek-ai/DeepSeek-V3.2": "DeepSeek-V3.2",
    "moonshotai/Kimi-K2.5": "Kimi-K2",
    "openai/gpt-oss-20b": "gpt-oss-20b",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "google/gemma-4-26B-A4B": "Gemma-4-26B-A4B",
    "stepfun-ai/Step-3.7-Flash": "Step-3.7-Flash",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "Nemotron-3-Nano-30B",
    "zai-org/GLM-5": "GLM-5",
    "XiaomiMiMo/MiMo-V2-Flash": "MiMo-V2-Flash",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_takes_its_bytes(name: str) -> None:
    known = MODELS[name]
    shape = shape_of_config(known.config)
    assert kv_token_bytes(shape, Keeping()) == known.token_bytes
    assert sequence_bytes(shape, Keeping()) == known.sequence_bytes
    assert shape.doubts == ()


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no further published configs lie beside this checkout")
def test_all_published_configs_are_read_and_agree_with_the_table() -> None:
    configs = json.loads(PUBLISHED.read_text())
    shapes = {name: shape_of_config(config) for name, config in configs.items()}
    for name, ours in SAME_SHAPE.items():
        told = kv_token_bytes(shapes[name], Keeping()), sequence_bytes(shapes[name], Keeping())
        assert told == (MODELS[ours].token_bytes, MODELS[ours].sequence_bytes), name


def test_a_pattern_of_letters_is_repeated() -> None:
    shape = shape_of_config(grouped(6, 2, 32) | {"sliding_window_pattern": "LLG", "sliding_window": 64})
    slides, attends = (Attention(2, 32, 32, 64),), (Attention(2, 32, 32),)
    assert shape.layers == (slides, slides, attends) * 2


def test_a_rule_holds_for_a_merge_of_more_layers_than_any_model_was_trained_with() -> None:
    shape = shape_of_config(grouped(137, 8, 128) | {"sliding_window_pattern": 6, "sliding_window": 64})
    assert len(shape.order) == 137
    assert sum(Attention(8, 128, 128) in layer for layer in shape.layers) == 137 // 6


def test_a_layer_of_experts_alone_keeps_nothing() -> None:
    shape = shape_of_config(grouped(4, 2, 32) | {"layers_block_type": ["attention", "moe"] * 2})
    assert shape.layers == ((Attention(2, 32, 32),), ()) * 2


def test_layers_that_read_others_keys_keep_none() -> None:
    shape = shape_of_config(grouped(8, 2, 32) | {"num_kv_shared_layers": 3})
    assert kv_token_bytes(shape, Keeping()) == 5 * 2 * 2 * 32 * 2


def test_a_pruned_model_tells_of_each_layer_by_itself() -> None:
    blocks = [{"attention": {"n_heads_in_group": 8}}, {"attention": {"no_op": True}}]
    shape = shape_of_config(grouped(2, 1, 128) | {"num_key_value_heads": None, "block_configs": blocks})
    assert shape.layers == ((Attention(4, 128, 128),), ())


def test_rows_for_groups_of_tokens_are_shared_by_them() -> None:
    ratios = [0, 4, 128, 0]
    config = grouped(3, 1, 512) | {"compress_ratios": ratios, "sliding_window": 128, "index_head_dim": 128}
    shape = shape_of_config(config | {"qk_rope_head_dim": 64})
    assert kv_token_bytes(shape, Keeping()) == 1024 // 4 + 132 // 4 + 1024 // 128
    assert Latent(448, 64, window_tokens=128) in shape.layers[0]


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"layer_types": ["full_attention", "wavelet_attention"] * 16}, "wavelet_attention"),
        ({"sliding_window": 1024}, "sliding_window"),
        ({"attention_chunk_size": 8192}, "attention_chunk_size"),
        ({"num_key_value_heads": None}, "num_key_value_heads"),
        ({"kv_folding_factor": 2}, "kv_folding_factor"),
        ({"layer_types": ["sliding_attention"] * 32}, "sliding_window"),
    ],
)
def test_what_is_not_known_is_counted_at_its_most_and_said(changed: dict[str, object], doubt: str) -> None:
    shape = shape_of_config(grouped(32, 8, 128) | changed)
    assert any(doubt in told for told in shape.doubts)
    assert kv_token_bytes(shape, Keeping()) >= 131_072


def test_a_hybrid_without_its_pattern_is_counted_with_both_in_each_layer() -> None:
    hybrid = {**MODELS["Qwen3-Next-80B-A3B"].config, "full_attention_interval": None}
    shape = shape_of_config(hybrid)
    assert kv_token_bytes(shape, Keeping()) == 4 * 24_576
    assert sequence_bytes(shape, Keeping()) == delta_state(48, 32)
    assert "layer_types" in shape.doubts[0]


def test_minus_one_stands_for_no_window() -> None:
    told = shape_of_config(grouped(32, 8, 128) | {"layer_types": ["sliding"] * 32, "sliding_window": -1})
    assert told.layers == ((Attention(8, 128, 128),),) * 32


@pytest.mark.parametrize(
    "told",
    [
        {"mamba_headdim": 64, "mamba_expand": 4},
        {"mamba_head_dim": 64, "mamba_expand": 4},
        {"mamba_d_head": "auto"},
        {"mamba_expand": 2},
    ],
)
def test_the_heads_of_a_mamba_layer_are_found_however_it_tells_them(told: dict[str, object]) -> None:
    """Zamba 2 and others have names of their own; all of these say 128 heads of 64 for a width of 4,096."""
    mamba = {"n_mamba_heads": 128, "mamba_d_state": 64, "mamba_d_conv": 4, "mamba_ngroups": 2}
    shape = shape_of_config(grouped(2, 8, 128) | {"layers_block_type": ["mamba", "hybrid"]} | mamba | told)
    state = Recurrent(128 * 64 * 64, 3 * (128 * 64 + 2 * 2 * 64))
    assert shape.layers == ((state,), (Attention(8, 128, 128), state))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_hidden_layers": "32"}, "num_hidden_layers"),
        ({"num_hidden_layers": 32 * 2**32}, "num_hidden_layers"),
        ({"num_key_value_heads": -8}, "num_key_value_heads"),
        ({"head_dim": None, "hidden_size": None}, "hidden_size"),
        ({"layer_types": ["full_attention"] * 3}, "layer_types"),
        ({"layer_types": "full"}, "layer_types"),
        ({"hybrid_override_pattern": "M*?"}, "hybrid_override_pattern"),
        ({"sliding_window_pattern": "LLX", "sliding_window": 64}, "sliding_window_pattern"),
        ({"layer_types": ["linear_attention"] * 32, "linear_num_value_heads": 32}, "linear_num_key_heads"),
        ({"compress_ratios": [4] * 3}, "compress_ratios"),
    ],
)
def test_a_malformed_config_is_refused_with_the_fields_name(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField, match=r"Download the file again") as fault:
        shape_of_config(grouped(32, 8, 128) | changed)
    assert fault.value.field == field


def header(architecture: str, **more: object) -> dict[str, object]:
    fields: dict[str, object] = {"block_count": 4, "embedding_length": 512, "attention.head_count": 8} | more
    return {"general.architecture": architecture} | {
        f"{architecture}.{name}": value for name, value in fields.items()
    }


def test_a_gguf_tells_its_heads_for_each_layer() -> None:
    shape = shape_of_gguf(header("some", **{"attention.head_count_kv": [2, 0, 4, 0], "context_length": 999}))
    assert shape.layers == ((Attention(2, 64, 64),), (), (Attention(4, 64, 64),), ())
    assert shape.window_tokens == 999


def test_a_gguf_with_latent_attention_is_counted_by_its_rows() -> None:
    rows = {"attention.kv_lora_rank": 512, "attention.key_length": 576, "attention.value_length": 512}
    heads = {"attention.head_count_kv": 1, "attention.key_length_mla": 192, "attention.value_length_mla": 128}
    assert shape_of_gguf(header("some", **rows, **heads)).layers == ((Latent(512, 64),),) * 4
    old = {"attention.kv_lora_rank": 512, "attention.key_length": 192, "attention.value_length": 128}
    assert shape_of_gguf(header("some", **old)).layers == ((Attention(8, 192, 128),),) * 4


@pytest.mark.parametrize(
    ("architecture", "pattern", "slides"),
    [
        ("some", [True, False, True, True], [True, False, True, True]),
        ("some", 2, [True, False, True, False]),
        ("gpt-oss", None, [True, False, True, False]),
        ("some", None, [False] * 4),
    ],
)
def test_a_gguf_tells_which_layers_slide(architecture: str, pattern: object, slides: list[bool]) -> None:
    window = {"attention.sliding_window": 128, "attention.sliding_window_pattern": pattern}
    shape = shape_of_gguf(header(architecture, **window))
    assert [layer[0] == Attention(8, 64, 64, 128) for layer in shape.layers] == slides
    assert bool(shape.doubts) == (architecture == "some" and pattern is None)


def test_a_gguf_of_delta_nets_agrees_with_the_config() -> None:
    sizes = {"conv_kernel": 4, "inner_size": 4096, "state_size": 128, "group_count": 16}
    states = {f"ssm.{name}": size for name, size in sizes.items()}
    told = shape_of_gguf(header("some", block_count=48, full_attention_interval=4, **states))
    assert told.layers[0] == (Recurrent(32 * 128 * 128, 3 * 8192),)
    assert told.layers[0] == shape_of_config(MODELS["Qwen3-Next-80B-A3B"].config).layers[0]
    assert told.layers[3] == (Attention(8, 64, 64),)


def test_a_gguf_of_mamba_knows_its_feed_forward_layers() -> None:
    states = {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.group_count": 1}
    kinds = {"attention.head_count_kv": [0, 0, 2, 0], "feed_forward_length": [0, 99, 0, 0]}
    shape = shape_of_gguf(header("some", **states, **kinds))
    state = Recurrent(64 * 16, 3 * (64 + 2 * 16))
    assert shape.layers == ((state,), (), (Attention(2, 64, 64),), (state,))


def test_a_gguf_may_write_its_numbers_as_fractions() -> None:
    told = shape_of_gguf(
        header("some", **{"attention.shared_kv_layers": 1.0, "attention.head_count_kv": 2.0})
    )
    assert told.layers == (*((Attention(2, 64, 64),),) * 3, ())
    with pytest.raises(InvalidField, match=r"is 1\.5 and should be a whole number"):
        shape_of_gguf(header("some", **{"attention.shared_kv_layers": 1.5}))


def test_a_gguf_without_heads_is_refused() -> None:
    with pytest.raises(InvalidField, match=r"attention\.head_count: is missing"):
        shape_of_gguf({"general.architecture": "clip", "clip.block_count": 4})


def test_latent_attention_is_not_counted_by_the_heads_it_lists() -> None:
    naive = 61 * 128 * 2 * 128 * 2
    assert naive > 50 * kv_token_bytes(shape_of_config(latent(61, 128)), Keeping())


def test_windows_are_whole_mebibytes() -> None:
    assert MODELS["gpt-oss-20b"].sequence_bytes == 12 * 128 * 2048 == 3 * MIB
