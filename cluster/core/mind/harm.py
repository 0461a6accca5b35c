"""What placing a turn costs others: those who wait there, who are being answered, and who sleep there."""

from cluster.core.mind.prices import prefill_s
from cluster.core.mind.returns import returns_within
from cluster.core.mind.views import NodeView, Resident, TurnView
from cluster.core.mind.weights import Weights


def running_bytes(node: NodeView) -> float:
    return sum(each.tokens * node.paces[each.model].kv_bytes_per_token for each in node.running)


def turn_bytes(node: NodeView, turn: TurnView) -> float:
    return turn.tokens * node.paces[turn.model].kv_bytes_per_token


def returns(resident: Resident, horizon_s: float) -> float:
    """The chance that what lies there is asked for within `horizon_s`."""
    if resident.is_spare:
        return 0.0
    return 1.0 if resident.is_waited_for else returns_within(horizon_s, resident.idle_s)


def evicted_s(node: NodeView, turn: TurnView, weights: Weights) -> float:
    """Seconds of prefill that sleepers will pay again for the room that the turn takes."""
    held = sum(
        each.tokens * node.paces[each.model].kv_bytes_per_token
        for each in node.residents
        if each.session != turn.session
    )
    over_bytes = running_bytes(node) + turn_bytes(node, turn) + held - node.capacity_bytes
    lost_s = 0.0
    for each in node.residents:
        if over_bytes <= 0:
            break
        if each.session == turn.session:
            continue
        pace = node.paces[each.model]
        lost_tokens = min(each.tokens, over_bytes / pace.kv_bytes_per_token)
        over_bytes -= lost_tokens * pace.kv_bytes_per_token
        again_s = prefill_s(pace, each.tokens - lost_tokens, lost_tokens)
        lost_s += returns(each, weights.evict_horizon_s) * again_s
    return lost_s
