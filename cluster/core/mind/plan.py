"""Late binding: a turn stays at the router until a node would begin it.

Each time something happens, all that wait are meant for a node anew, the first in order first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.core.mind.choose import Ahead, Choice, choose
from cluster.core.mind.harm import room_wait_s
from cluster.core.mind.order import Key, key, num_running
from cluster.core.mind.standing import Standing, standing, turn_prefill_s
from cluster.core.mind.views import Kind, NodeView, Running, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Decision:
    """`goes`: now; else it waits at the router, and `choice` says for what."""

    choice: Choice
    goes: bool


def plan(turns: Sequence[TurnView], nodes: Sequence[NodeView], weights: Weights) -> list[Decision]:
    """For each turn, in the order in which they were considered: those before are there already.

    Left out are turns that none of `nodes` could hold: a node that is gone may come back.
    """
    num_theirs = num_running(nodes)
    seen = {node.name: standing(node, weights) for node in nodes}
    ahead = {node.name: _under_way(node, num_theirs, weights) for node in nodes}
    decisions: list[Decision] = []
    able = [turn for turn in turns if any(name in seen for name in turn.nodes)]
    for turn in sorted(able, key=lambda each: _best_key(each, seen, num_theirs[each.tenant], weights)):
        num = num_theirs[turn.tenant]
        choice = choose(turn, [seen[name] for name in turn.nodes if name in seen], ahead, num, weights)
        at = seen[choice.node]
        own_s = turn_prefill_s(at, turn)
        own = Ahead(key(own_s, turn.waited_s, turn.kind, weights, num), own_s)
        is_next = all(own.key < other.key for other in ahead[choice.node])
        goes = is_next and room_wait_s(at, turn) <= 0 and not _is_in_the_way(at, turn)
        decisions.append(Decision(choice, goes))
        ahead[choice.node].append(own)
        if goes:
            seen[choice.node] = standing(_with(at.node, turn, own_s), weights)
    return decisions


def _is_in_the_way(at: Standing, turn: TurnView) -> bool:
    """Background work begins nowhere where a person is being served."""
    return turn.kind is Kind.BACKGROUND and any(each.kind is Kind.PERSON for each in at.node.running)


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
        tenant=turn.tenant,
    )
    residents = [each for each in node.residents if each.session != turn.session]
    return replace(node, running=(*node.running, begun), residents=residents)


def _under_way(node: NodeView, num_theirs: Counter[str], weights: Weights) -> list[Ahead]:
    return [_ahead(each, num_theirs[each.tenant], weights) for each in node.running if not each.is_decoding]


def _ahead(begun: Running, num_theirs: int, weights: Weights) -> Ahead:
    own_key = key(begun.left_prefill_s, begun.waited_s, begun.kind, weights, num_theirs)
    return Ahead(own_key, begun.left_prefill_s)


def _best_key(turn: TurnView, seen: Mapping[str, Standing], num_theirs: int, weights: Weights) -> Key:
    shortest_s = min(turn_prefill_s(seen[name], turn) for name in turn.nodes if name in seen)
    return key(shortest_s, turn.waited_s, turn.kind, weights, num_theirs)
