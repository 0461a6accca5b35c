"""Homes and models of real sizes, for the planner."""

from collections.abc import Mapping

from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, NodeFacts, Variant, WeightsFormat

GIB = 2**30
GB = 10**9

LAPTOP = NodeFacts(12 * GIB, engines=frozenset({EngineKind.LLAMACPP}), labels={"kind": "laptop"})
MAC = NodeFacts(
    48 * GIB,
    engines=frozenset({EngineKind.LLAMACPP, EngineKind.MLX}),
    labels={"kind": "mac"},
    metal=True,
)
"""64 GB of unified memory, of which the GPU may have three quarters."""

RIG = NodeFacts(
    48 * GIB,
    engines=frozenset({EngineKind.LLAMACPP, EngineKind.VLLM}),
    labels={"kind": "rig"},
    num_gpus=2,
)
"""Two cards of 24 GiB."""

CPU_SERVER = NodeFacts(
    64 * GIB, engines=frozenset({EngineKind.LLAMACPP, EngineKind.VLLM, EngineKind.MLX}), num_cpus=32
)


def home(**nodes: NodeFacts) -> dict[NodeId, NodeFacts]:
    return {NodeId(name): facts for name, facts in nodes.items()}


def all_free(nodes: Mapping[NodeId, NodeFacts]) -> dict[NodeId, int]:
    return {node: facts.models_bytes for node, facts in nodes.items()}


def gguf_8b(quantisation: str, num_bytes: int, bits: float) -> Variant:
    return Variant(
        f"~/models/8b/8b-{quantisation}.gguf",
        WeightsFormat.GGUF,
        quantisation,
        num_bytes,
        kv_token_bytes=131_072,
        window_tokens=40_960,
        num_params=8_200_000_000,
        bits_per_weight=bits,
        buffers_bytes=600 * 2**20,
    )


EIGHT_B = (
    gguf_8b("q2_k", 33 * GB // 10, 3.2),
    gguf_8b("q4_k_m", 49 * GB // 10, 4.8),
    gguf_8b("q8_0", 85 * GB // 10, 8.5),
)


def seventy_b(format: WeightsFormat, quantisation: str, num_bytes: int, bits: float) -> Variant:
    """80 layers, 8 KV heads."""
    return Variant(
        f"hf:home/70b-{quantisation}",
        format,
        quantisation,
        num_bytes,
        kv_token_bytes=327_680,
        window_tokens=131_072,
        num_params=70_600_000_000,
        bits_per_weight=bits,
        tensor_parallel=(1, 2, 4, 8),
        pipeline_parallel=(1, 2, 4, 5, 8, 10),
        mlx_pipeline=False,
    )


SEVENTY_B_4BIT = seventy_b(WeightsFormat.MLX, "4bit", 397 * GB // 10, 4.5)
SEVENTY_B_8BIT = seventy_b(WeightsFormat.MLX, "8bit", 750 * GB // 10, 8.5)
SEVENTY_B_AWQ = seventy_b(WeightsFormat.SAFETENSORS, "awq", 398 * GB // 10, 4.5)
SEVENTY_B_FP8 = seventy_b(WeightsFormat.SAFETENSORS, "fp8", 720 * GB // 10, 8.2)
