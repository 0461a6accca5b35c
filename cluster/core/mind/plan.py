"""Late binding: a turn stays at the router until a node would begin it.

Each time something happens, all that wait are meant for a node anew, the first in order first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.core.mind.choose import Ahead, Choice, choose, room_wait_s
from cluster.core.mind.order import Key, key
from cluster.core.mind.prices import turn_prefill_s
from cluster.core.mind.views import NodeView, Running, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Decision:
    """`goes`: now; else it waits at the router, and `choice` says for what."""

    choice: Choice
    goes: bool


def plan(turns: Sequence[TurnView], nodes: Sequence[NodeView], weights: Weights) -> list[Decision]:
    """For each turn, in the order in which they were considered: those before are there already."""
    seen = {node.name: node for node in nodes}
    ahead = {node.name: _under_way(node, weights) for node in nodes}
    decisions: list[Decision] = []
    for turn in sorted(turns, key=lambda each: _best_key(each, nodes, weights)):
        choice = choose(turn, [seen[node.name] for node in nodes if node.name in turn.nodes], ahead, weights)
        node = seen[choice.node]
        own_s = turn_prefill_s(node, turn)
        own = Ahead(key(own_s, turn.waited_s, turn.kind, weights), own_s)
        is_next = all(own.key < other.key for other in ahead[node.name])
        goes = is_next and room_wait_s(node, turn) <= 0
        decisions.append(Decision(choice, goes))
        ahead[node.name].append(own)
        if goes:
            seen[node.name] = _with(node, turn, own_s)
    return decisions


def _with(node: NodeView, turn: TurnView, prefill_s: float) -> NodeView:
    begun = Running(
        turn.turn, turn.session, turn.model, turn.tokens, prefill_s, turn.output_tokens, turn.waited_s, turn.kind
    )
    residents = [each for each in node.residents if each.session != turn.session]
    return replace(node, running=(*node.running, begun), residents=residents)


def _under_way(node: NodeView, weights: Weights) -> list[Ahead]:
    return [
        Ahead(key(each.left_prefill_s, each.waited_s, each.kind, weights), each.left_prefill_s)
        for each in node.running
        if not each.is_decoding
    ]


def _best_key(turn: TurnView, nodes: Sequence[NodeView], weights: Weights) -> Key:
    shortest_s = min(turn_prefill_s(node, turn) for node in nodes if node.name in turn.nodes)
    return key(shortest_s, turn.waited_s, turn.kind, weights)
