"""What placing a turn costs those who sleep there, and when it would fit beside those who run."""

from cluster.core.mind.prices import prefill_s
from cluster.core.mind.standing import Standing
from cluster.core.mind.views import TurnView


def turn_bytes(at: Standing, turn: TurnView) -> float:
    return turn.tokens * at.node.paces[turn.model].kv_bytes_per_token


def evicted_s(at: Standing, turn: TurnView) -> float:
    """Seconds of prefill that sleepers will pay again for the room that the turn takes."""
    own = at.shares.get(turn.session)
    held_bytes = at.held_bytes - (own.held_bytes if own else 0.0)
    over_bytes = at.running_bytes + turn_bytes(at, turn) + held_bytes - at.node.capacity_bytes
    lost_s = 0.0
    if over_bytes <= 0:
        return lost_s
    for session, share in at.shares.items():
        if session == turn.session:
            continue
        each, pace = share.resident, at.node.paces[share.resident.model]
        lost_tokens = min(each.tokens, over_bytes / pace.kv_bytes_per_token)
        over_bytes -= lost_tokens * pace.kv_bytes_per_token
        lost_s += share.loss * prefill_s(pace, each.tokens - lost_tokens, lost_tokens)
        if over_bytes <= 0:
            break
    return lost_s


def room_wait_s(at: Standing, turn: TurnView) -> float:
    """Until enough of those that run have ended for the turn to fit beside the others; 0: it fits."""
    over_bytes = at.running_bytes + turn_bytes(at, turn) - at.node.capacity_bytes
    if over_bytes <= 0:
        return 0.0
    ended_s = 0.0
    ends = sorted(
        (
            each.left_prefill_s + each.left_tokens * at.step_s,
            each.tokens * at.node.paces[each.model].kv_bytes_per_token,
        )
        for each in at.node.running
    )
    for ended_s, freed_bytes in ends:  # noqa: B007 - the end at which it fits is the answer
        over_bytes -= freed_bytes
        if over_bytes <= 0:
            break
    return ended_s
