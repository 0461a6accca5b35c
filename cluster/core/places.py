"""Where the ranks of a model could run: how many nodes, how many ranks and cards on each.

Enumerates; `plan` judges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, ModelWish, NodeFacts, Variant, WeightsFormat

RUNS: Mapping[WeightsFormat, tuple[EngineKind, ...]] = {
    WeightsFormat.GGUF: (EngineKind.LLAMACPP,),
    WeightsFormat.SAFETENSORS: (EngineKind.VLLM, EngineKind.MLX),
    WeightsFormat.MLX: (EngineKind.MLX,),
    WeightsFormat.NONE: (EngineKind.FAKE,),
}
"""Which engines run which weights, the better first."""

REFUSED_KV_TYPES: Mapping[EngineKind, tuple[str, ...]] = {
    EngineKind.VLLM: ("q8_0", "q4_0"),
    EngineKind.MLX: ("q8_0", "q4_0"),
}
"""Keys and values that an engine cannot keep so, for several sequences at once."""

SPLITTING = frozenset({EngineKind.VLLM, EngineKind.MLX, EngineKind.FAKE})
"""Engines that can be several ranks."""


@dataclass(frozen=True, slots=True)
class Room:
    """A node and what is free there.  All bytes."""

    node: NodeId
    facts: NodeFacts
    free_bytes: int

    @property
    def kind(self) -> tuple[int, bool]:
        """Nodes that share a layer's work are of one kind, or the slower one sets the pace."""
        return self.facts.num_gpus, self.facts.metal

    @property
    def card_bytes(self) -> int:
        return self.facts.models_bytes // self.facts.num_gpus

    def num_cards_with(self, rank_bytes: int) -> int:
        """Cards with that much free.  Models are packed: only the last card in use is partly free."""
        if not 0 < rank_bytes <= self.card_bytes:
            return 0
        num_full, in_use_bytes = divmod(self.facts.models_bytes - self.free_bytes, self.card_bytes)
        is_short = in_use_bytes > 0 and self.card_bytes - in_use_bytes < rank_bytes
        return max(self.facts.num_gpus - num_full - is_short, 0)


@dataclass(frozen=True, slots=True)
class Split:
    """Ranks over `num_nodes` nodes, equally; `num_cards` on each of them, 0 where there are none."""

    tensor_parallel: int
    pipeline_parallel: int
    num_nodes: int
    ranks_per_node: int
    num_cards: int


def allowed(wish: ModelWish, rooms: tuple[Room, ...], engine: EngineKind) -> tuple[Room, ...]:
    """The nodes where `engine` is and that have all labels wanted."""
    return tuple(room for room in rooms if engine in room.facts.engines and has_labels(wish, room.facts))


def has_labels(wish: ModelWish, facts: NodeFacts) -> bool:
    return all(facts.labels.get(key) == value for key, value in wish.where.items())


def engines_for(wish: ModelWish, variant: Variant) -> tuple[EngineKind, ...]:
    """Those that run the variant, and that the person allows."""
    return tuple(
        engine
        for engine in RUNS[variant.format]
        if wish.engine in (None, engine) and wish.kv_type not in REFUSED_KV_TYPES.get(engine, ())
    )


def allowed_ranks(wish: ModelWish, variant: Variant, engine: EngineKind) -> Iterator[tuple[int, int]]:
    """Pairs of tensor and pipeline parallel ranks that the model, the engine and the person allow."""
    tensor, pipeline = variant.tensor_parallel, variant.pipeline_parallel
    if engine not in SPLITTING or (engine is EngineKind.MLX and not variant.mlx_tensor):
        tensor = (1,)
    if engine not in SPLITTING or (engine is EngineKind.MLX and not variant.mlx_pipeline):
        pipeline = (1,)
    if engine is EngineKind.MLX and variant.shape:
        tensor = tuple(num for num in tensor if not any(heads % num for heads in variant.shape.kv_heads))
    for tensor_parallel in tensor:
        for pipeline_parallel in pipeline:
            # MLX splits within layers or by layers, not both.
            both = tensor_parallel > 1 and pipeline_parallel > 1
            if (
                wish.tensor_parallel in (None, tensor_parallel)
                and wish.pipeline_parallel in (None, pipeline_parallel)
                and not (both and engine is EngineKind.MLX)
            ):
                yield tensor_parallel, pipeline_parallel


def splits(
    wish: ModelWish, variant: Variant, engine: EngineKind, facts: NodeFacts, num_nodes: int
) -> Iterator[Split]:
    """All ways over at most `num_nodes` nodes like this one.

    A rank has a card to itself.  Nodes without cards take one rank each, and several only if the person
    said how many ranks there are: a second one on the same processor gains nothing.  There vLLM 0.32 fails
    at the first token of a model that is split by layers.
    """
    told = wish.tensor_parallel is not None or wish.pipeline_parallel is not None
    for tensor, pipeline in allowed_ranks(wish, variant, engine):
        num_ranks = tensor * pipeline
        for used in (used for used in range(1, num_nodes + 1) if num_ranks % used == 0):
            per_node = num_ranks // used
            if facts.num_gpus and engine is EngineKind.LLAMACPP:
                yield from (Split(tensor, pipeline, used, 1, cards) for cards in range(facts.num_gpus + 1))
            elif facts.num_gpus and engine is not EngineKind.FAKE:
                if per_node <= facts.num_gpus:
                    yield Split(tensor, pipeline, used, per_node, per_node)
            elif (per_node == 1 or told) and (pipeline == 1 or engine is not EngineKind.VLLM):
                yield Split(tensor, pipeline, used, per_node, 0)
