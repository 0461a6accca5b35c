"""The nodes' memory for models: what is booked, what is free, and which layout fits into it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cluster.core.ids import NodeId
from cluster.core.layout import Layout, ModelWish, NodeFacts, NoRoom
from cluster.core.lifecycle import Life, Stage
from cluster.core.state import State

MAX_PLANS = 256

Free = Mapping[NodeId, int]
"""Bytes by node."""


class Planner(Protocol):
    def __call__(self, wish: ModelWish, nodes: Mapping[NodeId, NodeFacts], free: Free) -> Layout | NoRoom:
        """The best layout in what is `free` (bytes, of each of `nodes`), or why there is none."""
        ...


@dataclass(slots=True)
class Plans:
    """What the planner answered; asked the same again it is not bothered.  Cleared by whoever changes a wish
    or what a node offers."""

    planner: Planner
    known: dict[object, Layout | NoRoom] = field(default_factory=dict[object, Layout | NoRoom])

    def find(self, life: Life, nodes: Mapping[NodeId, NodeFacts], free: Free) -> Layout | NoRoom:
        wish = life.declared.wish
        if wish is None or not nodes:
            return NoRoom("no node is there that could hold a model.", "Start a node.")
        rooms = {node: max(free.get(node, 0), 0) for node in nodes}
        key = (life.declared.deployment, *rooms.items())
        if key not in self.known:
            if len(self.known) >= MAX_PLANS:
                self.known.clear()
            self.known[key] = self.planner(wish, nodes, rooms)
        return self.known[key]


def living(state: State, silent_s: float, now: float) -> dict[NodeId, NodeFacts]:
    """The nodes that are heard and offer memory to models."""
    return {
        node.node: node.facts
        for node in state.nodes.values()
        if node.facts is not None and now - node.last_seen <= silent_s
    }


def held_by(layouts: Iterable[Layout | None]) -> Counter[NodeId]:
    """Bytes that the layouts hold, by node."""
    held = Counter[NodeId]()
    for layout in layouts:
        for shard in layout.shards if layout is not None else ():
            held[shard.node] += shard.memory_bytes
    return held


def held(state: State) -> Counter[NodeId]:
    """Bytes that are booked on each node: by deployments of ours, and by others that the loader has."""
    return held_by((*(life.layout for life in state.lives()), *state.foreign.values()))


def kept(state: State, life: Life) -> Counter[NodeId]:
    """Bytes that nothing but a person could free for this deployment."""
    warm = (each.layout for each in state.lives() if each.keep_warm and each is not life)
    return held_by((*warm, *state.foreign.values()))


def releasing(state: State) -> Counter[NodeId]:
    """Bytes that are on their way to be free."""
    return held_by(life.layout for life in state.lives() if life.stage is Stage.UNLOADING)


def note_surprise(state: State) -> None:
    """Notes the nodes on which a report, or the node itself, says that more is held than there is."""
    booked = held(state)
    for node in state.nodes.values():
        most = node.facts.models_bytes if node.facts is not None else 0
        node.surprised = booked[node.node] > most
