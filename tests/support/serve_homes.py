"""The homes that serve_configs/ are written for, and what the files of their models say.

No weights are needed: a variant is what `wish_of` reads of them.
"""

from typing import Any

from cluster.config import GUIDE, ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, ModelWish, NodeFacts, Variant, WeightsFormat
from cluster.deployments.wish import wish_of

GIB = 2**30
GB = 10**9

LAPTOP = NodeFacts(11 * GIB, engines=frozenset({EngineKind.LLAMACPP}))
MAC = NodeFacts(44 * GIB, engines=frozenset({EngineKind.LLAMACPP, EngineKind.MLX}), metal=True)
"""64 GB of unified memory, of which the GPU may have three quarters."""

RIG = NodeFacts(
    2 * 22 * GIB,
    engines=frozenset({EngineKind.LLAMACPP, EngineKind.VLLM}),
    num_gpus=2,
    labels={"kind": "rig"},
)
"""Two cards of 24 GB."""

HOMES: dict[str, dict[str, NodeFacts]] = {
    "laptop": {"laptop": LAPTOP},
    "one_mac": {"mac-1": MAC},
    "two_macs": {"mac-1": MAC, "mac-2": MAC},
    "gpu_rig": {"rig-1": RIG},
    "gpu_rigs": {"rig-1": RIG, "rig-2": RIG},
    "mixed": {"laptop": LAPTOP, "mac-1": MAC, "rig-1": RIG},
}

QWEN3_32B: dict[str, Any] = {
    "kv_token_bytes": 262_144,
    "window_tokens": 40_960,
    "num_params": 32_800_000_000,
    "tensor_parallel": (1, 2, 4, 8),
    "pipeline_parallel": tuple(range(1, 17)),
    "mlx_pipeline": False,
}
LLAMA_70B = QWEN3_32B | {
    "kv_token_bytes": 327_680,
    "window_tokens": 131_072,
    "num_params": 70_600_000_000,
}


def _variant(
    source: str, format: WeightsFormat, quantisation: str, num_bytes: int, bits: float, shape: dict[str, Any]
) -> Variant:
    return Variant(source, format, quantisation, num_bytes, bits_per_weight=bits, **shape)


KNOWN = {
    each.source: each
    for each in (
        _variant(
            "hf:mlx-community/Qwen3-32B-4bit", WeightsFormat.MLX, "4bit", 184 * GB // 10, 4.5, QWEN3_32B
        ),
        _variant(
            "hf:mlx-community/Llama-3.3-70B-Instruct-8bit",
            WeightsFormat.MLX,
            "8bit",
            75 * GB,
            8.5,
            LLAMA_70B,
        ),
        _variant("hf:Qwen/Qwen3-32B-FP8", WeightsFormat.SAFETENSORS, "fp8", 343 * GB // 10, 8.4, QWEN3_32B),
        _variant(
            "hf:RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            WeightsFormat.SAFETENSORS,
            "fp8",
            727 * GB // 10,
            8.2,
            LLAMA_70B,
        ),
    )
}


def nodes_of(home: str) -> dict[NodeId, NodeFacts]:
    return {NodeId(name): facts for name, facts in HOMES[home].items()}


def wish(model: ModelConfig) -> ModelWish:
    """As the pool would ask, with no network."""
    if model.name == GUIDE:
        return wish_of(model)
    variants = (KNOWN[model.source],)
    return ModelWish(
        variants, None, model.context_tokens, tensor_parallel=model.tensor_parallel, where=model.where
    )
