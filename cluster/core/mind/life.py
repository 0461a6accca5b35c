"""What a place costs in the turns after this one: its speed at that depth, its neighbours, its memory."""

from cluster.core.mind.harm import returns, running_bytes, turn_bytes
from cluster.core.mind.prices import prefill_s, token_s
from cluster.core.mind.views import NodeView, TurnView
from cluster.core.mind.weights import Weights


def next_turns_s(node: NodeView, turn: TurnView, weights: Weights) -> float:
    """Seconds that the session's turns to come take there, among those who live there."""
    pace = node.paces[turn.model]
    neighbours, neighbour_tokens = _neighbours(node, turn, weights)
    growth_s = prefill_s(pace, turn.tokens, turn.growth_tokens) * (1 + neighbours)
    said_s = turn.output_tokens * token_s(pace, 1 + neighbours, turn.tokens + neighbour_tokens)
    return weights.turns_ahead * (growth_s + said_s)


def _neighbours(node: NodeView, turn: TurnView, weights: Weights) -> tuple[float, float]:
    """How many others are at work there at once, and what they hold, as expected."""
    others = [each for each in node.residents if each.session != turn.session]
    chances = [returns(each, weights.busy_horizon_s) for each in others]
    number = sum(chances) + len(node.running)
    tokens = sum(chance * each.tokens for chance, each in zip(chances, others, strict=True))
    tokens += sum(each.tokens for each in node.running)
    return weights.neighbour * number, weights.neighbour * tokens


def room_s(node: NodeView, turn: TurnView, weights: Weights) -> float:
    """The price of a working set that will not fit: seconds of prefill of what is over, again and again."""
    pace = node.paces[turn.model]
    grown_bytes = weights.turns_ahead * turn.growth_tokens * pace.kv_bytes_per_token
    wanted_bytes = running_bytes(node) + turn_bytes(node, turn) + grown_bytes
    for each in node.residents:
        if each.session != turn.session:
            grown_tokens = each.tokens + weights.turns_ahead * each.growth_tokens
            kept_bytes = grown_tokens * node.paces[each.model].kv_bytes_per_token
            wanted_bytes += returns(each, weights.room_horizon_s) * kept_bytes
    over_bytes = wanted_bytes - weights.room_share * node.capacity_bytes
    over_tokens = min(over_bytes / pace.kv_bytes_per_token, turn.tokens)
    return weights.room_price * prefill_s(pace, 0, over_tokens) if over_tokens > 0 else 0.0
