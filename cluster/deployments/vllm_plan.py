"""What a vLLM gang is to run, from its layout; and what it then says that it holds."""

from cluster.config import ModelConfig
from cluster.core.facts import Capacity
from cluster.core.footprint import Run, rank_kv_bytes
from cluster.core.layout import EngineKind, Layout
from cluster.core.places import REFUSED_KV_TYPES
from cluster.core.slots import most_slots
from cluster.deployments.engine import EngineFault
from cluster.deployments.vllm_command import CPU_BLOCK_TOKENS, Plan
from cluster.deployments.vllm_model import Model
from cluster.deployments.vllm_server import Metrics
from cluster.deployments.warmup import SMALL_MODEL_BYTES


def plan(config: ModelConfig, layout: Layout, model: Model, num_nodes: int) -> Plan:
    """What the gang is told.  Raises EngineFault for a layout that vLLM cannot run."""
    _check(config, layout, num_nodes)
    small = model.variant.weights_bytes < SMALL_MODEL_BYTES
    return Plan(
        model=str(model.folder),
        source=layout.source,
        name=config.name,
        socket="",
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        num_ranks=layout.shards[0].num_ranks,
        window_tokens=window_tokens(layout),
        num_slots=num_slots(config, layout),
        kv_bytes=rank_kv_bytes(model.variant, _run(config, layout)),
        on_cards=layout.shards[0].num_gpus > 0,
        exact=config.kv_type == "f32",
        embeds=model.embeds,
        threads=config.threads or (1 if small else None),
    )


def _run(config: ModelConfig, layout: Layout) -> Run:
    return Run(
        EngineKind.VLLM,
        _kv_tokens(layout.context_tokens),
        config.kv_type,
        layout.tensor_parallel,
        layout.pipeline_parallel,
        on_cards=layout.shards[0].num_gpus > 0,
        num_slots=num_slots(config, layout),
    )


def _check(config: ModelConfig, layout: Layout, num_nodes: int) -> None:
    ranks = {shard.num_ranks for shard in layout.shards}
    if len(layout.shards) != num_nodes or ranks != {num_ranks(layout) // num_nodes}:
        raise EngineFault(
            f"vLLM cannot share {num_ranks(layout)} ranks among {num_nodes} nodes, {sorted(ranks)} on each.",
            "Choose numbers of ranks that are the same on every node.",
        )
    if layout.pipeline_parallel > 1 and not layout.shards[0].num_gpus:
        raise EngineFault(
            "vLLM cuts a model by layers on cards alone.",
            "Set `tensor_parallel` instead of `pipeline_parallel`.",
        )
    if config.kv_type in REFUSED_KV_TYPES[EngineKind.VLLM]:
        problem = f"vLLM keeps no keys and values as `kv_type: {config.kv_type}`."
        raise EngineFault(problem, "Set `kv_type` to f16.")


def num_ranks(layout: Layout) -> int:
    return layout.tensor_parallel * layout.pipeline_parallel


def window_tokens(layout: Layout) -> int:
    return min(layout.window_tokens, layout.context_tokens)


def num_slots(config: ModelConfig, layout: Layout) -> int:
    return layout.num_slots or most_slots(EngineKind.VLLM, config.slots)


def _kv_tokens(context_tokens: int) -> int:
    """Whole blocks, and one more, which vLLM keeps for itself."""
    return (-(-context_tokens // CPU_BLOCK_TOKENS) + 1) * CPU_BLOCK_TOKENS


def capacity(metrics: Metrics, window_tokens: int, num_slots: int) -> Capacity:
    """As vLLM tells it, without the block that it keeps for itself."""
    kv_tokens = metrics.kv_tokens - metrics.block_tokens
    return Capacity(kv_tokens, num_slots, window_tokens, metrics.block_tokens, resident_holds_slot=False)
