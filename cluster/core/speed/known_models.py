"""Models that people ask for, as their config.json describes them: the fields that decide memory and speed.

Copied from the published files of each repository.  `--config FILE` plans any other model.
"""

from collections.abc import Mapping

from cluster.core.speed.near import found

Config = Mapping[str, object]


def _dense(
    layers: int, hidden: int, heads: tuple[int, int, int], inner: int, vocab: int, window: int
) -> dict[str, object]:
    """`heads`: those of queries, those of keys, and their width."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": heads[2],
        "intermediate_size": inner,
        "vocab_size": vocab,
        "max_position_embeddings": window,
        "tie_word_embeddings": False,
    }


def _experts(num: int, used: int, width: int, shared: int = 0, first: int = 0) -> dict[str, object]:
    """`shared`: the width of the expert that all tokens use.  `first`: so many layers have none."""
    more: dict[str, object] = {"shared_expert_intermediate_size": shared} if shared else {}
    if first:
        more["first_k_dense_replace"] = first
    return {
        "num_experts": num,
        "num_experts_per_tok": used,
        "moe_intermediate_size": width,
        **more,
    }


def _delta_net(num_value_heads: int) -> dict[str, object]:
    """Three of four layers are gated delta nets."""
    return {
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_num_value_heads": num_value_heads,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }


def _latent(heads: int, experts: int, first: int, vocab: int, window: int) -> dict[str, object]:
    return {
        **_dense(61, 7168, (heads, heads, 128), 18432, vocab, window),
        **_experts(experts, 8, 2048, 2048, first),
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
    }


def _gpt_oss(layers: int, experts: int) -> dict[str, object]:
    return {
        **_dense(layers, 2880, (64, 8, 64), 2880, 201088, 131072),
        **_experts(experts, 4, 2880),
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * (layers // 2),
    }


_MINIMAX: Config = {**_dense(62, 3072, (48, 8, 128), 1536, 200064, 196608), **_experts(256, 8, 1536)}
_DEEPSEEK: Config = _latent(128, 256, 3, 129280, 163840)
_INT4: Config = {"quant_method": "compressed-tensors"}
"""Experts in 4 bits, all else in 16, as Kimi-K2-Thinking is published."""

MODELS: Mapping[str, Config] = {
    "MiniMax-M2": _MINIMAX,
    "MiniMax-M2.1": _MINIMAX,
    "MiniMax-M2.5": _MINIMAX,
    "gpt-oss-20b": _gpt_oss(24, 32),
    "gpt-oss-120b": _gpt_oss(36, 128),
    "Llama-2-7B": _dense(32, 4096, (32, 32, 128), 11008, 32000, 4096),
    "Llama-3.1-8B": _dense(32, 4096, (32, 8, 128), 14336, 128256, 131072),
    "Llama-3.3-70B": _dense(80, 8192, (64, 8, 128), 28672, 128256, 131072),
    "Devstral-Small-24B": _dense(40, 5120, (32, 8, 128), 32768, 131072, 131072),
    "Qwen2.5-Coder-7B": _dense(28, 3584, (28, 4, 128), 18944, 152064, 32768),
    "Qwen3-8B": _dense(36, 4096, (32, 8, 128), 12288, 151936, 40960),
    "Qwen3-32B": _dense(64, 5120, (64, 8, 128), 25600, 151936, 40960),
    "Qwen3-Coder-30B-A3B": {
        **_dense(48, 2048, (32, 4, 128), 6144, 151936, 262144),
        **_experts(128, 8, 768),
    },
    "Qwen3-235B-A22B": {
        **_dense(94, 4096, (64, 4, 128), 12288, 151936, 262144),
        **_experts(128, 8, 1536),
    },
    "Qwen3-Coder-Next": {
        **_dense(48, 2048, (16, 2, 256), 5120, 151936, 262144),
        **_experts(512, 10, 512, 512),
        **_delta_net(32),
    },
    "Qwen3.5-27B": {**_dense(64, 5120, (24, 4, 256), 17408, 248320, 262144), **_delta_net(48)},
    "Qwen3.5-35B-A3B": {
        **_dense(40, 2048, (16, 2, 256), 0, 248320, 262144),
        **_experts(256, 8, 512, 512),
        **_delta_net(32),
    },
    "Qwen3.5-122B-A10B": {
        **_dense(48, 3072, (32, 2, 256), 0, 248320, 262144),
        **_experts(256, 8, 1024, 1024),
        **_delta_net(64),
    },
    "GLM-4.5-Air": {
        **_dense(46, 4096, (96, 8, 128), 10944, 151552, 131072),
        **_experts(128, 8, 1408, 1408, 1),
    },
    "GLM-4.7": {**_dense(92, 5120, (96, 8, 128), 12288, 151552, 202752), **_experts(160, 8, 1536, 1536, 3)},
    "DeepSeek-V3.1": _DEEPSEEK,
    "DeepSeek-R1": _DEEPSEEK,
    "Kimi-K2": _latent(64, 384, 1, 163840, 131072),
    "Kimi-K2-Thinking": {**_latent(64, 384, 1, 163840, 262144), "quantization_config": _INT4},
    "Gemma-3-27B": {
        **_dense(62, 5376, (32, 16, 128), 21504, 262208, 131072),
        "tie_word_embeddings": True,
        "sliding_window": 1024,
        "sliding_window_pattern": 6,
    },
}


def known_model(name: str) -> Config:
    """Raises InvalidField."""
    return found(name.rpartition("/")[2], MODELS, "--model", "`--config FILE` plans any other config.json.")


def usual_quantisation(name: str) -> str:
    """What a known model's makers pack it with, as a file of llama.cpp; empty: nothing special."""
    return next((packing for known, packing in _PUBLISHED.items() if MODELS[known] is known_model(name)), "")


_PUBLISHED = {"gpt-oss-20b": "mxfp4_moe", "gpt-oss-120b": "mxfp4_moe"}
