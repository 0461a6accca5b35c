"""Which families of models mlx-lm can split, by `model_type` of their config.json, as of mlx-lm 0.32.

Kept as a table because the machine that plans need not be one with MLX.
"""

from typing import Any

_OTHER_NAMES = {
    "mistral": "llama",
    "iquestcoder": "llama",
    "xverse": "llama",
    "joyai_llm_flash": "deepseek_v3",
    "kimi_k2": "deepseek_v3",
    "minimax_m2": "minimax",
    "deepseek_v41_text": "deepseek_v41",
}

TENSOR = frozenset(
    {
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v32",
        "deepseek_v41",
        "exaone_moe",
        "glm4_moe",
        "glm4_moe_lite",
        "glm_moe_dsa",
        "gpt_oss",
        "iquestloopcoder",
        "kimi_k25",
        "kimi_k3",
        "llama",
        "longcat_flash",
        "longcat_flash_ngram",
        "minimax",
        "minimax_m3_vl",
        "ministral3",
        "mistral4",
        "muse_spark",
        "qwen2",
        "qwen3",
        "qwen3_5",
        "qwen3_moe",
        "step3p5",
    }
)
PIPELINE = frozenset(
    {
        "bailing_hybrid",
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v32",
        "deepseek_v41",
        "glm4_moe",
        "glm4_moe_lite",
        "glm_moe_dsa",
        "kimi_k3",
        "minimax_m3_vl",
        "ministral3",
        "mistral4",
        "muse_spark",
        "qwen2",
        "qwen3_5",
        "qwen3_moe",
        "qwen3_next",
    }
)


def can_split(config: dict[str, Any]) -> tuple[bool, bool]:
    """Whether within layers, and whether by layers."""
    kind = str(config.get("model_type", ""))
    kind = _OTHER_NAMES.get(kind, kind)
    return kind in TENSOR, kind in PIPELINE
