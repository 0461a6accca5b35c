"""Late binding: a turn stays at the router until a node would begin it.

Each time something happens, all that wait are meant for a node anew, the first in order first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.core.mind.choose import Ahead, Choice, choose
from cluster.core.mind.harm import room_wait_s
from cluster.core.mind.order import Key, key
from cluster.core.mind.standing import Standing, standing, turn_prefill_s
from cluster.core.mind.views import NodeView, Running, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Decision:
    """`goes`: now; else it waits at the router, and `choice` says for what."""

    choice: Choice
    goes: bool


def plan(turns: Sequence[TurnView], nodes: Sequence[NodeView], weights: Weights) -> list[Decision]:
    """For each turn, in the order in which they were considered: those before are there already."""
    seen = {node.name: standing(node, weights) for node in nodes}
    ahead = {node.name: _under_way(node, weights) for node in nodes}
    decisions: list[Decision] = []
    for turn in sorted(turns, key=lambda each: _best_key(each, seen, weights)):
        choice = choose(turn, [seen[name] for name in turn.nodes], ahead, weights)
        at = seen[choice.node]
        own_s = turn_prefill_s(at, turn)
        own = Ahead(key(own_s, turn.waited_s, turn.kind, weights), own_s)
        is_next = all(own.key < other.key for other in ahead[choice.node])
        goes = is_next and room_wait_s(at, turn) <= 0
        decisions.append(Decision(choice, goes))
        ahead[choice.node].append(own)
        if goes:
            seen[choice.node] = standing(_with(at.node, turn, own_s), weights)
    return decisions


def _with(node: NodeView, turn: TurnView, prefill_s: float) -> NodeView:
    """Once the turn has begun there."""
    begun = Running(
        turn=turn.turn,
        session=turn.session,
        model=turn.model,
        tokens=turn.tokens,
        left_prefill_s=prefill_s,
        left_tokens=turn.output_tokens,
        waited_s=turn.waited_s,
        kind=turn.kind,
    )
    residents = [each for each in node.residents if each.session != turn.session]
    return replace(node, running=(*node.running, begun), residents=residents)


def _under_way(node: NodeView, weights: Weights) -> list[Ahead]:
    return [
        Ahead(key(each.left_prefill_s, each.waited_s, each.kind, weights), each.left_prefill_s)
        for each in node.running
        if not each.is_decoding
    ]


def _best_key(turn: TurnView, seen: Mapping[str, Standing], weights: Weights) -> Key:
    shortest_s = min(turn_prefill_s(seen[name], turn) for name in turn.nodes)
    return key(shortest_s, turn.waited_s, turn.kind, weights)
