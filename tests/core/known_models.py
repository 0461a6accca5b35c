"""Published models: the fields of their config.json that decide the memory of tokens, and the bytes.

The bytes per token were computed from the published configs by hand, at 16 bits; so was what a sequence
takes however long it is, with recurrent states in 32 bits and their convolutions in 16.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, slots=True)
class KnownModel:
    """`sequence_bytes`: what each sequence takes beside its tokens."""

    config: Mapping[str, object]
    token_bytes: int
    sequence_bytes: int = 0


def grouped(
    layers: int, kv_heads: int, width: int, hidden: int = 4096, heads: int = 32, window: int = 131_072
) -> dict[str, object]:
    return {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": width,
        "hidden_size": hidden,
        "max_position_embeddings": window,
    }


def latent(layers: int, heads: int, **more: object) -> dict[str, object]:
    """MLA; the heads it lists are not kept."""
    return grouped(layers, heads, 0) | {"head_dim": None, "kv_lora_rank": 512, "qk_rope_head_dim": 64} | more


def sliding(layers: dict[str, object], pattern: list[str], window: int) -> dict[str, object]:
    num_layers = layers["num_hidden_layers"]
    assert isinstance(num_layers, int)
    kinds = [f"{kind}_attention" for kind in (pattern * num_layers)[:num_layers]]
    return layers | {"layer_types": kinds, "sliding_window": window}


def delta_net(layers: int, kv_heads: int, value_heads: int) -> dict[str, object]:
    """Gated delta nets, and full attention in every fourth layer."""
    return grouped(layers, kv_heads, 256) | {
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": value_heads,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }


def delta_state(layers: int, value_heads: int) -> int:
    return layers * (value_heads * 128 * 128 * 4 + (2 * 16 * 128 + value_heads * 128) * 3 * 2)


MAMBA = {"mamba_num_heads": 64, "mamba_head_dim": 64, "ssm_state_size": 128, "conv_kernel": 4, "n_groups": 8}
NANO_LAYERS = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
SOME_SLIDE = ["sliding"] * 5 + ["full"]
GEMMA_4 = {"attention_k_eq_v": True, "global_head_dim": 512, "num_global_key_value_heads": 2}

MODELS = {
    "Llama-3.1-8B": KnownModel(grouped(32, 8, 128), 131_072),
    "Llama-3.3-70B": KnownModel(grouped(80, 8, 128, 8192, 64), 327_680),
    "Qwen3-8B": KnownModel(grouped(36, 8, 128), 147_456),
    "Qwen3-32B": KnownModel(grouped(64, 8, 128, 5120, 64), 262_144),
    "Qwen3-Coder-30B-A3B": KnownModel(grouped(48, 4, 128, 2048), 98_304),
    "Qwen3-235B-A22B": KnownModel(grouped(94, 4, 128, 4096, 64), 192_512),
    "Qwen3-Coder-480B-A35B": KnownModel(grouped(62, 8, 128, 6144, 96), 253_952),
    "Qwen3-Next-80B-A3B": KnownModel(delta_net(48, 2, 32), 24_576, delta_state(36, 32)),
    "Qwen3.5-35B-A3B": KnownModel({"text_config": delta_net(40, 2, 32)}, 20_480, delta_state(30, 32)),
    "Qwen3.5-27B": KnownModel({"text_config": delta_net(64, 4, 48)}, 65_536, delta_state(48, 48)),
    "Qwen3.5-122B-A10B": KnownModel({"text_config": delta_net(48, 2, 64)}, 24_576, delta_state(36, 64)),
    "Qwen3.5-397B-A17B": KnownModel({"text_config": delta_net(60, 2, 64)}, 30_720, delta_state(45, 64)),
    "MiniMax-M2.1": KnownModel(grouped(62, 8, 128, 3072, 48, 196_608), 253_952),
    "GLM-4.7": KnownModel(grouped(92, 8, 128, 5120, 96), 376_832),
    "GLM-4.5-Air": KnownModel(grouped(46, 8, 128, 4096, 96), 188_416),
    "GLM-4.7-Flash": KnownModel(latent(47, 20), 54_144),
    "DeepSeek-V3": KnownModel(latent(61, 128), 70_272),
    "Kimi-K2": KnownModel(latent(61, 64), 70_272),
    "DeepSeek-V3.2": KnownModel(latent(61, 128, index_head_dim=128), 78_324),
    "gpt-oss-20b": KnownModel(sliding(grouped(24, 8, 64), ["sliding", "full"], 128), 24_576, 3 * MIB),
    "gpt-oss-120b": KnownModel(sliding(grouped(36, 8, 64), ["sliding", "full"], 128), 36_864, 9 * MIB // 2),
    "Gemma-3-27B": KnownModel(
        {"text_config": sliding(grouped(62, 16, 128), SOME_SLIDE, 1024)}, 81_920, 416 * MIB
    ),
    "Gemma-4-26B-A4B": KnownModel(
        {"text_config": sliding(grouped(30, 8, 256) | GEMMA_4, SOME_SLIDE, 1024)}, 10_240, 200 * MIB
    ),
    "Step-3.7-Flash": KnownModel(
        sliding(grouped(45, 8, 128), ["full"] + ["sliding"] * 3, 512), 49_152, 66 * MIB
    ),
    "Nemotron-3-Nano-30B": KnownModel(
        grouped(52, 2, 128, 2688) | MAMBA | {"hybrid_override_pattern": NANO_LAYERS},
        6_144,
        46 * MIB + 23 * (64 * 64 + 2 * 8 * 128) * 3 * 2,
    ),
    "Mixtral-8x22B": KnownModel(grouped(56, 8, 128, 6144, 48) | {"sliding_window": None}, 229_376),
    "GLM-5": KnownModel(latent(78, 64, index_head_dim=128), 100_152),
    "MiMo-V2-Flash": KnownModel(
        grouped(48, 4, 192)
        | {
            "hybrid_layer_pattern": [*([0, 1, 1, 1, 1] + [0, 1, 1, 1, 1, 1] * 8)[:47], 0],
            "v_head_dim": 128,
            "sliding_window": 128,
            "attention_chunk_size": 128,
            "swa_num_key_value_heads": 8,
            "swa_head_dim": 192,
            "swa_v_head_dim": 128,
        },
        23_040,
        39 * 128 * 8 * 320 * 2,
    ),
}
