"""How long a waiting turn will wait: the honest figure behind every queue and refusal."""

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence

from cluster.core.admission import clamp, could_hold, need_of, prompt_of
from cluster.core.facts import Privacy
from cluster.core.fleet import Replica, may_serve
from cluster.core.ids import TurnId
from cluster.core.learning import Memory
from cluster.core.ledger import Reservation
from cluster.core.state import Phase, Turn

LOADING_S = 30.0
"""Said while no replica that could take the turn is ready and nothing is known of when one will be."""

LEAST_SHARE_LEFT = 0.1
"""A turn that runs longer than expected is expected to run for this share of its time yet."""


def turn_seconds(turn: Turn, replica: Replica, memory: Memory) -> float:
    """A turn's whole time at this replica: prefill of what is not resident, then decode."""
    resident = replica.ledger.resident.get(turn.arrived.session)
    return _seconds(turn, replica, memory, resident.tokens if resident else 0)


def _seconds(turn: Turn, replica: Replica, memory: Memory, resident_tokens: int) -> float:
    arrived = turn.arrived
    missing = max(prompt_of(turn, memory) - resident_tokens, 1)
    output = memory.mean_output(arrived.session, arrived.model)
    if arrived.max_tokens is not None:
        output = min(output, arrived.max_tokens)
    return missing / replica.prefill_tps + output / replica.decode_tps


def waits(
    queue: Sequence[Turn],
    turns: Mapping[TurnId, Turn],
    replicas: Sequence[Replica],
    memory: Memory,
    now: float,
    loading_s: float = LOADING_S,
) -> list[float]:
    """Seconds until each turn of `queue`, in order, gets a place at one of `replicas`.

    `turns`: all that are known.  Each takes the replica that has KV memory and a slot for it first.
    `loading_s`: until another replica may be ready, for those that none of these could take.
    """
    able = (replica for replica in replicas if not replica.draining)
    rooms = _Rooms(_Room(replica, turns, memory, now) for replica in able)
    return [_wait(turn, rooms, memory, loading_s) for turn in queue]


def drain_s(replicas: Sequence[Replica], turns: Mapping[TurnId, Turn], memory: Memory, now: float) -> float:
    """Seconds until no turn runs at any of these replicas."""
    left = (
        _remaining(lease, turns, replica, memory, now)
        for replica in replicas
        for lease in replica.ledger.leases.values()
    )
    return max(left, default=0.0)


class _Room:
    """KV memory and slots of one replica over the seconds to come; idle sessions are in nobody's way."""

    def __init__(self, replica: Replica, turns: Mapping[TurnId, Turn], memory: Memory, now: float) -> None:
        ledger = replica.ledger
        self.replica = replica
        self._from_s = 0.0
        self._free_tokens = ledger.capacity.kv_tokens - ledger.reserved_tokens
        self._free_slots = ledger.capacity.num_slots - len(ledger.leases)
        self._ends = sorted(
            (_remaining(lease, turns, replica, memory, now), lease.reserved_tokens)
            for lease in ledger.leases.values()
        )

    def start_s(self, tokens: int) -> float | None:
        """Seconds until `tokens` and a slot are free; None: never."""
        free_tokens, free_slots, start_s = self._free_tokens, self._free_slots, self._from_s
        for end_s, freed in self._ends:
            if free_slots > 0 and tokens <= free_tokens:
                break
            free_tokens, free_slots, start_s = free_tokens + freed, free_slots + 1, end_s
        return start_s if free_slots > 0 and tokens <= free_tokens else None

    def take(self, start_s: float, tokens: int, seconds: float) -> None:
        while self._ends and self._ends[0][0] <= start_s:
            self._free_tokens += self._ends.pop(0)[1]
            self._free_slots += 1
        self._from_s = start_s
        self._free_tokens -= tokens
        self._free_slots -= 1
        insort(self._ends, (start_s + seconds, tokens))


class _Rooms:
    """Rooms in the order of `rooms`, which are made when they are asked for and kept: as a rule the first
    few suffice."""

    def __init__(self, rooms: Iterator[_Room]) -> None:
        self._made: list[_Room] = []
        self._to_come = rooms

    def __iter__(self) -> Iterator[_Room]:
        yield from self._made
        for room in self._to_come:
            self._made.append(room)
            yield room


def _wait(turn: Turn, rooms: _Rooms, memory: Memory, loading_s: float) -> float:
    need, arrived = need_of(turn, memory), turn.arrived
    local_only = arrived.privacy is Privacy.LOCAL_ONLY
    soonest: tuple[float, int, _Room] | None = None
    for room in rooms:
        able = may_serve(room.replica, arrived.needs, local_only)
        if able and could_hold(turn, need, room.replica):
            tokens = room.replica.ledger.blocks(clamp(need, room.replica).tokens)
            start_s = room.start_s(tokens)
            if start_s is not None and (soonest is None or start_s < soonest[0]):
                soonest = start_s, tokens, room
                if start_s <= 0:
                    break
    if soonest is None:
        return loading_s
    start_s, tokens, room = soonest
    room.take(start_s, tokens, turn_seconds(turn, room.replica, memory))
    return start_s


def _remaining(
    lease: Reservation, turns: Mapping[TurnId, Turn], replica: Replica, memory: Memory, now: float
) -> float:
    """Seconds until a lease ends; that of a turn nobody knows any more is on its way to its end."""
    turn = turns.get(lease.turn)
    if turn is None or turn.lease != lease.lease or turn.phase is Phase.ENDING:
        return 0.0
    whole = _seconds(turn, replica, memory, 0)  # a session that runs is not idle beside itself
    spent = 0.0 if turn.started_at is None else now - turn.started_at
    return max(whole - spent, LEAST_SHARE_LEFT * whole)
