"""Published models by the fields of their config.json that decide how many weights they have.

A few lines each, so that a clone without the files has something to count.
"""

from typing import Any

Config = dict[str, Any]


def _model(hidden: int, layers: int, heads: int, kv_heads: int, vocabulary: int, **more: Any) -> Config:  # noqa: ANN401 - whatever JSON can say
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "head_dim": 128,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
        **more,
    }


def _experts(num: int, used: int, width: int, **more: Any) -> Config:  # noqa: ANN401
    return {"num_experts": num, "num_experts_per_tok": used, "moe_intermediate_size": width, **more}


def _routed(num: int, used: int, width: int, dense: int, first: int) -> Config:
    """With one shared expert, after `first` dense layers of width `dense`."""
    return {
        "n_routed_experts": num,
        "num_experts_per_tok": used,
        "moe_intermediate_size": width,
        "n_shared_experts": 1,
        "intermediate_size": dense,
        "first_k_dense_replace": first,
    }


def _latent(queries: int, plain: int, values: int) -> Config:
    return {
        "q_lora_rank": queries,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": plain,
        "v_head_dim": values,
    }


def _deltas(value_heads: int) -> Config:
    """Three layers of gated delta nets for each one of attention."""
    return {
        "head_dim": 256,
        "full_attention_interval": 4,
        "linear_conv_kernel_dim": 4,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_num_value_heads": value_heads,
        "linear_value_head_dim": 128,
    }


def _seeing(text: Config) -> Config:
    """Qwen3.5's and 3.6's eyes, alike in all sizes."""
    vision = {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "in_channels": 3,
        "patch_size": 16,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "num_position_embeddings": 2304,
        "out_hidden_size": text["hidden_size"],
    }
    return {"text_config": text, "vision_config": vision, "tie_word_embeddings": False}


def _qwen35(hidden: int, layers: int, heads: int, value_heads: int, experts: Config) -> Config:
    wide = {**_deltas(value_heads), "attn_output_gate": True, **experts}
    return _seeing(_model(hidden, layers, heads, 2, 248_320, **wide))


def _gpt_oss(layers: int, experts: int) -> Config:
    more = {"num_local_experts": experts, "num_experts_per_tok": 4, "intermediate_size": 2880}
    windows = {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * (layers // 2)}
    return _model(2880, layers, 64, 8, 201_088, **{**more, **windows, "head_dim": 64})


def _deepseek(**more: Any) -> Config:  # noqa: ANN401
    parts = {**_routed(256, 8, 2048, 18_432, 3), **_latent(1536, 128, 128), **more}
    return _model(7168, 61, 128, 128, 129_280, **parts)


MODELS: dict[str, Config] = {
    "Llama-3.1-8B": _model(4096, 32, 32, 8, 128_256, intermediate_size=14_336),
    "Llama-3.1-70B": _model(8192, 80, 64, 8, 128_256, intermediate_size=28_672),
    "Qwen3-8B": _model(4096, 36, 32, 8, 151_936, intermediate_size=12_288),
    "Qwen3-32B": _model(5120, 64, 64, 8, 151_936, intermediate_size=25_600),
    "Gemma-3-27B": _model(
        5376,
        62,
        32,
        16,
        262_208,
        intermediate_size=21_504,
        sliding_window=1024,
        sliding_window_pattern=6,
        tie_word_embeddings=True,
    ),
    "Gemma-4-26B-A4B": _model(
        2816,
        30,
        16,
        8,
        262_144,
        head_dim=256,
        global_head_dim=512,
        num_global_key_value_heads=2,
        attention_k_eq_v=True,
        intermediate_size=2112,
        enable_moe_block=True,
        num_experts=128,
        top_k_experts=8,
        moe_intermediate_size=704,
        sliding_window=1024,
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 5,
        tie_word_embeddings=True,
    ),
    "Step-3.7-Flash": _model(
        4096,
        45,
        64,
        8,
        128_896,
        intermediate_size=11_264,
        first_k_dense_replace=3,
        share_expert_dim=1280,
        sliding_window=512,
        layer_types=(["full_attention"] + ["sliding_attention"] * 3) * 11 + ["full_attention"],
        **_experts(288, 8, 1280),
    ),
    "Qwen3-30B-A3B": _model(2048, 48, 32, 4, 151_936, **_experts(128, 8, 768)),
    "Qwen3-235B-A22B": _model(4096, 94, 64, 4, 151_936, **_experts(128, 8, 1536)),
    "Qwen3-Coder-480B-A35B": _model(6144, 62, 96, 8, 151_936, **_experts(160, 8, 2560)),
    "Qwen3-Coder-Next": _model(
        2048,
        48,
        16,
        2,
        151_936,
        **_experts(512, 10, 512, shared_expert_intermediate_size=512, **_deltas(32)),
    ),
    "Qwen3.5-27B": _seeing(
        _model(5120, 64, 24, 4, 248_320, intermediate_size=17_408, attn_output_gate=True, **_deltas(48))
        | {"head_dim": 256}
    ),
    "Qwen3.5-35B-A3B": _qwen35(2048, 40, 16, 32, _experts(256, 8, 512, shared_expert_intermediate_size=512)),
    "Qwen3.5-122B-A10B": _qwen35(
        3072, 48, 32, 64, _experts(256, 8, 1024, shared_expert_intermediate_size=1024)
    ),
    "Qwen3.5-397B-A17B": _qwen35(
        4096, 60, 32, 64, _experts(512, 10, 1024, shared_expert_intermediate_size=1024)
    ),
    "MiniMax-M2.5": _model(
        3072, 62, 48, 8, 200_064, num_local_experts=256, num_experts_per_tok=8, intermediate_size=1536
    ),
    "gpt-oss-20b": _gpt_oss(24, 32),
    "gpt-oss-120b": _gpt_oss(36, 128),
    "GLM-4.5-Air": _model(4096, 46, 96, 8, 151_552, **_routed(128, 8, 1408, 10_944, 1)),
    "GLM-4.7": _model(5120, 92, 96, 8, 151_552, **_routed(160, 8, 1536, 12_288, 3)),
    "GLM-4.7-Flash": _model(
        2048, 47, 20, 20, 154_880, **_routed(64, 4, 1536, 10_240, 1), **_latent(768, 192, 256)
    ),
    "DeepSeek-V3.1": _deepseek(),
    "DeepSeek-V3.2": _deepseek(index_n_heads=64, index_head_dim=128, index_topk=2048),
    "Kimi-K2": _model(
        7168, 61, 64, 64, 163_840, **_routed(384, 8, 2048, 18_432, 1), **_latent(1536, 128, 128)
    ),
    "Nemotron-3-Nano-30B-A3B": _model(
        2688,
        52,
        32,
        2,
        131_072,
        hybrid_override_pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        mamba_num_heads=64,
        mamba_head_dim=64,
        n_groups=8,
        ssm_state_size=128,
        conv_kernel=4,
        n_routed_experts=128,
        num_experts_per_tok=6,
        moe_intermediate_size=1856,
        n_shared_experts=1,
        moe_shared_expert_intermediate_size=3712,
        moe_latent_size=None,
        mlp_hidden_act="relu2",
    ),
}
