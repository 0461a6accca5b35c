"""The naive scan: every replica of the model is asked, its books are summed, its idle sessions sorted.

It is the policy `nearest_prefix` as it would be written without a thought for its cost, and decides the same.
"""

from cluster.core.admission import Need, clamp, could_hold, headroom
from cluster.core.facts import Locality
from cluster.core.fleet import Replica
from cluster.core.ids import SessionKey
from cluster.core.ledger import Ledger
from cluster.core.placement import Candidate, Offers
from cluster.core.state import Turn


def scan(turn: Turn, candidates: Offers) -> Candidate | None:
    """Home before hosted, boots that have not lost it, the soonest answer, then most room."""
    found = (
        _candidate(turn, candidates.need, replica)
        for replica in candidates.group.replicas
        if replica.replica not in candidates.kept
    )
    return max(
        (each for each in found if each is not None),
        default=None,
        key=lambda each: (
            each.replica.ready.locality is Locality.LOCAL,
            each.replica.boot not in turn.lost_boots,
            -(each.prefill_s + each.decode_s),
            -len(each.evict),
            _free_tokens(each.replica.ledger),
            each.replica.replica,
        ),
    )


def _candidate(turn: Turn, need: Need, replica: Replica) -> Candidate | None:
    if replica.draining or replica.doubted or replica.surprised:
        return None
    if len(replica.ledger.leases) >= replica.ready.capacity.num_slots or not could_hold(turn, need, replica):
        return None
    fitted, session = clamp(need, replica), turn.arrived.session
    spare = headroom(replica, len(replica.growing) + need.open_ended) if replica.ledger.leases else 0
    evict = _victims(replica.ledger, session, fitted.tokens + spare)
    if evict is None:
        return None
    own = replica.ledger.resident.get(session)
    return Candidate(replica, fitted, tuple(evict), own.tokens if own is not None else 0)


def _victims(ledger: Ledger, session: SessionKey, tokens: int) -> list[SessionKey] | None:
    chosen: list[SessionKey] = []
    idle = sorted(ledger.resident.values(), key=lambda each: (each.last_used, each.session))
    others = iter([each.session for each in idle if each.session != session])
    while not _fits(ledger, tokens, {session, *chosen}):
        following = next(others, None)
        if following is None:
            return None
        chosen.append(following)
    return chosen


def _fits(ledger: Ledger, tokens: int, gone: set[SessionKey]) -> bool:
    left = [each.tokens for each in ledger.resident.values() if each.session not in gone]
    idle = len(left) if ledger.capacity.resident_holds_slot else 0
    reserved = sum(lease.reserved_tokens for lease in ledger.leases.values())
    free_slots = ledger.capacity.num_slots - len(ledger.leases) - idle
    return ledger.blocks(tokens) <= ledger.capacity.kv_tokens - reserved - sum(left) and free_slots > 0


def _free_tokens(ledger: Ledger) -> int:
    reserved = sum(lease.reserved_tokens for lease in ledger.leases.values())
    return ledger.capacity.kv_tokens - reserved - sum(each.tokens for each in ledger.resident.values())
