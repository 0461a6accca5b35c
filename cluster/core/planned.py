"""What a replica was planned to hold, to be held against what its engine reports once it is loaded.

The engine's word counts from then on; the difference is how good the estimate was.
"""

from dataclasses import dataclass

from cluster.core.footprint import Run, rank_footprint
from cluster.core.ids import DeploymentId
from cluster.core.layout import EngineKind, Layout, ModelWish
from cluster.core.state import State


@dataclass(frozen=True, slots=True)
class Planned:
    """Of all ranks together.  `held_bytes`: weights and KV memory, without the buffers, of which engines do
    not tell; 0 where the wish does not have the layout's variant (any more)."""

    kv_tokens: int
    held_bytes: int


def planned(state: State, deployment: DeploymentId) -> Planned | None:
    """None for what runs without a layout of ours (upstreams)."""
    known = state.deployments.get(deployment)
    life = known.life if known is not None else None
    if life is None or life.layout is None:
        return None
    return Planned(life.layout.context_tokens, _held_bytes(life.declared.wish, life.layout))


def _held_bytes(wish: ModelWish | None, layout: Layout) -> int:
    named = (layout.source, layout.quantisation)
    variants = wish.variants if wish is not None else ()
    variant = next((each for each in variants if (each.source, each.quantisation) == named), None)
    if wish is None or variant is None:
        return 0
    first = layout.shards[0]
    run = Run(
        layout.engine,
        layout.context_tokens,
        wish.kv_type,
        layout.tensor_parallel,
        layout.pipeline_parallel,
        first.num_ranks,
        first.num_gpus > 0,
        layout.num_slots,
    )
    rank, num_ranks = rank_footprint(variant, run), layout.tensor_parallel * layout.pipeline_parallel
    if layout.engine is EngineKind.VLLM:  # it reports the weights once, whatever its ranks keep several times
        return variant.weights_bytes + rank.kv_bytes * num_ranks
    return (rank.weights_bytes + rank.kv_bytes) * num_ranks
