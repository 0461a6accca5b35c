"""The nodes' memory for models: what is booked, what is free, and which layout fits into it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cluster.core.ids import NodeId
from cluster.core.layout import Layout, NodeFacts, NoRoom
from cluster.core.lifecycle import Life, Stage
from cluster.core.state import State
from cluster.core.together import Planner, kv_share

MAX_PLANS = 256

Free = Mapping[NodeId, int]
"""Bytes by node."""

Nodes = Mapping[NodeId, NodeFacts]


@dataclass(slots=True)
class Plans:
    """What the planner answered; asked the same again it is not bothered.  To be forgotten by whoever changes
    a wish or what a node offers."""

    planner: Planner
    _known: dict[object, Layout | NoRoom] = field(default_factory=dict[object, Layout | NoRoom])
    _shares: dict[object, int] = field(default_factory=dict[object, int])

    def forget(self) -> None:
        self._known.clear()
        self._shares.clear()

    def find(self, state: State, life: Life, nodes: Nodes, free: Free | None = None) -> Layout | NoRoom:
        """The layout that the model gets on these nodes whatever else is loaded, placed in what is `free`;
        None: in what could be free for it."""
        wish = life.declared.wish
        if wish is None or not nodes:
            return NoRoom("no node is there that could hold a model.", "Start a node.")
        held = kept(state, life)
        most = {node: max(facts.models_bytes - held[node], 0) for node, facts in nodes.items()}
        rooms = {node: max(free.get(node, 0), 0) for node in nodes} if free is not None else most
        key = (life.declared.deployment, *rooms.items(), *most.items())
        if key not in self._known:
            if len(self._known) >= MAX_PLANS:
                self._known.clear()
            self._known[key] = self.planner(wish, nodes, rooms, most, self._share(state, nodes))
        return self._known[key]

    def _share(self, state: State, nodes: Nodes) -> int:
        key = tuple(nodes)
        if key not in self._shares:
            lives = [life.declared for life in state.lives() if not life.withdrawn]
            warm = [each.wish for each in lives if each.wish is not None and each.keep_warm]
            others = [each.wish for each in lives if each.wish is not None and not each.keep_warm]
            self._shares[key] = kv_share(self.planner, warm, others, nodes)
        return self._shares[key]


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


def keepers(state: State, life: Life) -> list[Life]:
    """What holds memory that nothing but a person could free for this deployment."""
    return [each for each in state.lives() if each.keep_warm and each.layout and each is not life]


def kept(state: State, life: Life) -> Counter[NodeId]:
    """Bytes that nothing but a person could free for this deployment."""
    warm = (each.layout for each in keepers(state, life))
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
