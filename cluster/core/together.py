"""How much KV memory models get that nobody set a context for, so that many of them live together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cluster.core.ids import NodeId
from cluster.core.layout import Layout, ModelWish, NodeFacts, NoRoom

KV_SHARES = (4, 8, 16)
"""KV memory is at most one in so many bytes of a node."""


class Planner(Protocol):
    def __call__(
        self,
        wish: ModelWish,
        nodes: Mapping[NodeId, NodeFacts],
        free: Mapping[NodeId, int],
        most: Mapping[NodeId, int] | None = None,
        kv_share: int = KV_SHARES[0],
    ) -> Layout | NoRoom:
        """The best layout in what could be free, `most` (bytes, of each of `nodes`), placed in what is
        `free`; or why there is no room for it."""
        ...


def kv_share(
    planner: Planner,
    warm: Sequence[ModelWish],
    others: Sequence[ModelWish],
    nodes: Mapping[NodeId, NodeFacts],
) -> int:
    """The largest share of KV_SHARES with which as many of the models as possible are loaded at once, taken
    in this order, each in the variant that it has alone beside the warm ones."""
    return max(KV_SHARES, key=lambda share: _num_together(planner, warm, others, nodes, share))


def _num_together(
    planner: Planner,
    warm: Iterable[ModelWish],
    others: Iterable[ModelWish],
    nodes: Mapping[NodeId, NodeFacts],
    share: int,
) -> int:
    most = {node: facts.models_bytes for node, facts in nodes.items()}
    num_warm = sum(_put(planner(wish, nodes, most, most, share), most) for wish in warm)
    free = dict(most)
    return num_warm + sum(_put(planner(wish, nodes, free, most, share), free) for wish in others)


def _put(layout: Layout | NoRoom, free: dict[NodeId, int]) -> bool:
    """Whether there is a layout; what it holds is free no more."""
    if isinstance(layout, NoRoom):
        return False
    for shard in layout.shards:
        free[shard.node] -= shard.memory_bytes
    return True
