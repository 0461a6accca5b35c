"""Where a turn runs: filters, then the best candidate.  The policy is a seam: a function of its arguments.

A policy is speculative and silent: it is asked often, and what it answers may never happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.core.admission import Need, clamp, could_hold, headroom
from cluster.core.eviction import victims
from cluster.core.facts import Locality, Privacy
from cluster.core.ids import SessionKey
from cluster.core.state import Replica, Turn, can_serve


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that can take the turn now.

    `evict`: the idle sessions that must go first.  `resident_tokens`: the session's own KV there.
    """

    replica: Replica
    need: Need
    evict: tuple[SessionKey, ...]
    resident_tokens: int

    @property
    def prefill_s(self) -> float:
        """Seconds until the first token, were it alone."""
        missing = max(self.need.prompt_tokens - self.resident_tokens, 1)
        return missing / max(self.replica.speed.prefill_tps, 1e-9)

    @property
    def decode_s(self) -> float:
        return self.need.output_tokens / max(self.replica.speed.decode_tps, 1e-9)


class Policy(Protocol):
    def __call__(self, turn: Turn, candidates: Sequence[Candidate]) -> Candidate | None:
        """The candidate to place the turn at; None: rather wait."""
        ...


def nearest_prefix(turn: Turn, candidates: Sequence[Candidate]) -> Candidate | None:
    """Home before hosted, boots that have not lost this turn yet, then the soonest answer: a resident
    prefix saves its prefill.  Between equals the replica with most room."""
    return max(
        candidates,
        default=None,
        key=lambda each: (
            each.replica.ready.locality is Locality.LOCAL,
            each.replica.boot not in turn.lost_boots,
            -(each.prefill_s + each.decode_s),
            -len(each.evict),
            each.replica.ledger.free_tokens,
            each.replica.replica,
        ),
    )


def suitable(turn: Turn, replicas: Sequence[Replica]) -> list[Replica]:
    """Replicas that may ever serve the turn, whatever room they have."""
    local_only = turn.arrived.privacy is Privacy.LOCAL_ONLY
    return [
        replica
        for replica in replicas
        if can_serve(replica, turn.arrived.needs)
        and not (local_only and replica.ready.locality is not Locality.LOCAL)
    ]


def candidates(turn: Turn, need: Need, replicas: Sequence[Replica]) -> list[Candidate]:
    """Replicas that can take the turn now, idle sessions put aside."""
    found = (_candidate(turn, need, replica) for replica in replicas)
    return [candidate for candidate in found if candidate is not None]


def _candidate(turn: Turn, need: Need, replica: Replica) -> Candidate | None:
    if replica.draining or replica.doubted or replica.surprised:
        return None
    if len(replica.ledger.leases) >= replica.ready.capacity.num_slots:
        return None
    if not could_hold(turn, need, replica):
        return None
    fitted = clamp(need, replica)
    session = turn.arrived.session
    spare = headroom(replica, len(replica.growing) + need.open_ended) if replica.ledger.leases else 0
    evict = victims(replica.ledger, session, fitted.tokens + spare)
    if evict is None:
        return None
    own = replica.ledger.resident.get(session)
    return Candidate(replica, fitted, tuple(evict), own.tokens if own else 0)
