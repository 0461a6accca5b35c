"""Where a turn runs: filters, then the best candidate.  The policy is a seam: a function of its arguments.

A policy is speculative and silent: it is asked often, and what it answers may never happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop
from typing import Protocol, overload

from cluster.core.admission import Need, clamp, could_hold, headroom
from cluster.core.eviction import victims
from cluster.core.facts import Locality, Privacy
from cluster.core.fleet import Fleet, Group, Homes, Replica
from cluster.core.ids import ReplicaId, SessionKey
from cluster.core.state import Turn


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
        return missing / self.replica.prefill_tps

    @property
    def decode_s(self) -> float:
        return self.need.output_tokens / self.replica.decode_tps


@dataclass(slots=True)
class Offers(Sequence[Candidate]):
    """The candidates for one turn, in the order in which the replicas came; worked out when looked at.

    `kept`: replicas that are kept for an earlier turn, or not tried again yet.
    """

    turn: Turn
    need: Need
    fleet: Fleet
    group: Group
    homes: Homes
    kept: frozenset[ReplicaId] = frozenset()
    _all: list[Candidate] | None = None

    def all(self) -> list[Candidate]:
        if self._all is None:
            found = (self.at(each) for each in self.group.replicas if each.replica not in self.kept)
            self._all = [candidate for candidate in found if candidate is not None]
        return self._all

    def __len__(self) -> int:
        return len(self.all())

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self.all()[index]

    def at(self, replica: Replica) -> Candidate | None:
        """The candidate at this replica; None: it cannot take the turn now."""
        return _candidate(self.turn, self.need, replica)

    def soonest(self) -> Sequence[Candidate]:
        """All those among which the soonest answer must be, of a group that is at one place: those with
        something of their own, and of the others the fastest that can take the turn.

        Only these are worked out: an open replica with no prefix of the turn, and with room for the whole of
        its need, answers after the same time whatever else it holds.
        """
        if self._all is not None:
            return self._all
        prompt, output, tokens = max(self.need.prompt_tokens, 1), self.need.output_tokens, self.need.tokens
        homes = self.homes.of(self.turn.arrived.session)
        own: list[Replica] = []
        plain: list[tuple[float, ReplicaId, Replica]] = []
        for name, replica in self.fleet.open.items():
            if replica.largest_tokens < tokens or name in homes:
                own.append(replica)
            else:
                plain.append((prompt / replica.prefill_tps + output / replica.decode_tps, name, replica))
        names = self.group.names - self.kept if self.kept else self.group.names
        found = [each for replica in own if replica.replica in names and (each := self.at(replica))]
        found += self._fastest(plain, names)
        if not found:
            self._all = []
        return found

    def _fastest(
        self, plain: list[tuple[float, ReplicaId, Replica]], names: frozenset[ReplicaId]
    ) -> list[Candidate]:
        """The first that can take the turn, and all that are as fast."""
        heapify(plain)
        found: list[Candidate] = []
        answer_s = 0.0
        while plain and not (found and plain[0][0] > answer_s):
            answer_s, name, replica = heappop(plain)
            candidate = self.at(replica) if name in names else None
            if candidate is not None:
                found.append(candidate)
        return found


class Policy(Protocol):
    def __call__(self, turn: Turn, candidates: Offers) -> Candidate | None:
        """The candidate to place the turn at; None: rather wait.  They are a sequence of Candidate."""
        ...


def nearest_prefix(turn: Turn, candidates: Offers) -> Candidate | None:
    """Home before hosted, boots that have not lost this turn yet, then the soonest answer: a resident
    prefix saves its prefill.  Between equals the replica with most room."""
    looks_at_all = turn.lost_boots or candidates.group.is_mixed
    return max(
        candidates if looks_at_all else candidates.soonest(),
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


def group_of(turn: Turn, fleet: Fleet) -> Group:
    """Replicas that may ever serve the turn, whatever room they have."""
    return fleet.group(turn.arrived.needs, turn.arrived.privacy is Privacy.LOCAL_ONLY)


def _candidate(turn: Turn, need: Need, replica: Replica) -> Candidate | None:
    """Where it can take the turn now, idle sessions put aside."""
    if not replica.is_open or not could_hold(turn, need, replica):
        return None
    fitted = clamp(need, replica)
    session = turn.arrived.session
    spare = headroom(replica, len(replica.growing) + need.open_ended) if replica.ledger.leases else 0
    evict = victims(replica.ledger, session, fitted.tokens + spare)
    if evict is None:
        return None
    own = replica.ledger.resident.get(session)
    return Candidate(replica, fitted, tuple(evict), own.tokens if own else 0)
