"""What a place costs in the turns after this one: its speed at that depth, its neighbours, its memory."""

from cluster.core.mind.harm import turn_bytes
from cluster.core.mind.prices import prefill_s, token_s
from cluster.core.mind.standing import Standing
from cluster.core.mind.views import TurnView
from cluster.core.mind.weights import Weights


def next_turns_s(at: Standing, turn: TurnView, weights: Weights) -> float:
    """Seconds that the session's turns to come take there, among those who live there."""
    pace, own = at.node.paces[turn.model], at.shares.get(turn.session)
    neighbours = at.neighbours - (own.neighbours if own else 0.0)
    neighbour_tokens = at.neighbour_tokens - (own.neighbour_tokens if own else 0.0)
    growth_s = prefill_s(pace, turn.tokens, turn.growth_tokens) * (1 + neighbours)
    said_s = turn.output_tokens * token_s(pace, 1 + neighbours, turn.tokens + neighbour_tokens)
    return weights.turns_ahead * (growth_s + said_s)


def room_s(at: Standing, turn: TurnView, weights: Weights) -> float:
    """The price of a working set that will not fit: seconds of prefill of what is over, again and again."""
    pace, own = at.node.paces[turn.model], at.shares.get(turn.session)
    grown_bytes = weights.turns_ahead * turn.growth_tokens * pace.kv_bytes_per_token
    wanted_bytes = at.wanted_bytes - (own.wanted_bytes if own else 0.0) + turn_bytes(at, turn) + grown_bytes
    over_bytes = wanted_bytes - weights.room_share * at.node.capacity_bytes
    over_tokens = min(over_bytes / pace.kv_bytes_per_token, turn.tokens)
    return weights.room_price * prefill_s(pace, 0, over_tokens) if over_tokens > 0 else 0.0
