"""How long a waiting turn will wait: the honest figure behind every queue and refusal."""

import heapq
from collections.abc import Sequence

from cluster.core.admission import need_of
from cluster.core.learning import Memory
from cluster.core.state import Phase, Replica, Turn

LOADING_S = 30.0
"""Said while no replica of the model is ready and nothing is known of when one will be."""


def turn_seconds(turn: Turn, replica: Replica, memory: Memory) -> float:
    """A turn's whole time at this replica: prefill of what is not resident, then decode."""
    need = need_of(turn, memory)
    resident = replica.ledger.resident.get(turn.arrived.session)
    missing = max(need.prompt_tokens - (resident.tokens if resident else 0), 1)
    output = memory.mean_output(turn.arrived.session, turn.arrived.model)
    if turn.arrived.max_tokens is not None:
        output = min(output, turn.arrived.max_tokens)
    return missing / max(replica.speed.prefill_tps, 1e-9) + output / max(replica.speed.decode_tps, 1e-9)


def waits(
    queue: Sequence[Turn], running: Sequence[Turn], replicas: Sequence[Replica], memory: Memory, now: float
) -> list[float]:
    """Seconds until each turn of `queue`, in order, gets a place at one of `replicas`.

    Lanes are replicas' slots, as many as their KV memory carries at once; each turn takes the lane
    that is free first.
    """
    lanes: list[tuple[float, int]] = []
    for index, replica in enumerate(replicas):
        if not replica.draining:
            lanes += [(free_in, index) for free_in in _lanes(replica, running, memory, now)]
    if not lanes:
        return [LOADING_S] * len(queue)
    heapq.heapify(lanes)
    answer: list[float] = []
    for turn in queue:
        free_in, index = lanes[0]
        answer.append(free_in)
        heapq.heapreplace(lanes, (free_in + turn_seconds(turn, replicas[index], memory), index))
    return answer


def _lanes(replica: Replica, running: Sequence[Turn], memory: Memory, now: float) -> list[float]:
    """Seconds until each of the replica's lanes is free."""
    here = [turn for turn in running if turn.replica == replica.replica and turn.phase is not Phase.ENDING]
    busy = sorted(_remaining(turn, replica, memory, now) for turn in here)
    idle = max(_num_lanes(replica) - len(busy), 0)
    return [0.0] * idle + busy


def _num_lanes(replica: Replica) -> int:
    ledger = replica.ledger
    if not ledger.leases:
        return ledger.capacity.num_slots
    mean = max(ledger.reserved_tokens / len(ledger.leases), 1.0)
    return max(min(ledger.capacity.num_slots, int(ledger.capacity.kv_tokens / mean)), 1)


def _remaining(turn: Turn, replica: Replica, memory: Memory, now: float) -> float:
    whole = turn_seconds(turn, replica, memory)
    spent = 0.0 if turn.started_at is None else now - turn.started_at
    return max(whole - spent, 0.1 * whole)
