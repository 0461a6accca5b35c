"""Replicas, and what is kept of them so that a turn's place is found without asking every one.

`Fleet`: the replicas of one model.  `Homes`: at which replicas each session is resident.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.core.events import ReplicaReady
from cluster.core.facts import Capacity, Feature, Locality, Speed
from cluster.core.ids import BootId, Cause, LeaseId, ReplicaId, SessionKey
from cluster.core.ledger import Ledger, Resident

LEAST_TPS = 1e-9
"""A speed of nothing would divide by it."""


class Homes:
    """The replicas at which a session's idle KV is, by session."""

    def __init__(self) -> None:
        self._where: dict[SessionKey, tuple[ReplicaId, ...]] = {}

    def of(self, session: SessionKey) -> tuple[ReplicaId, ...]:
        return self._where.get(session, ())

    def enter(self, session: SessionKey, replica: ReplicaId) -> None:
        self._where[session] = (*self.of(session), replica)

    def leave(self, session: SessionKey, replica: ReplicaId) -> None:
        left = tuple(each for each in self._where.pop(session) if each != replica)
        if left:
            self._where[session] = left

    def check(self, replicas: Mapping[ReplicaId, "Replica"]) -> None:
        """Raises AssertionError where it is not what the ledgers say."""
        found = {(session, replica) for session, at in self._where.items() for replica in at}
        told = {(session, name) for name, each in replicas.items() for session in each.ledger.resident}
        assert found == told, f"homes are wrong by {found ^ told}"


class ForecastLedger(Ledger):
    """The router's copy of a front's book: `homes` knows who is idle in it."""

    def __init__(self, capacity: Capacity, replica: ReplicaId, homes: Homes) -> None:
        super().__init__(capacity)
        self._replica, self._homes = replica, homes

    def _note(self, idle: Resident) -> None:
        super()._note(idle)
        self._homes.enter(idle.session, self._replica)

    def forget(self, session: SessionKey) -> None:
        if session in self.resident:
            self._homes.leave(session, self._replica)
        super().forget(session)


@dataclass(slots=True)
class Replica:
    """One replica as the router knows it.

    `granted`: leases its front has not booked yet.  `growing`: leases that may outgrow their
    reservation.  `surprised`: the front's book holds more than the forecast had room for.
    `doubted`: it refused a grant or broke a stream off; nothing more until its front is heard again.
    `drain_asked`: why it shall drain, until its front says that it does.
    `largest_tokens`: the longest sequence it could hold, empty.  `prefill_tps`, `decode_tps`: of its speed,
    never nothing.
    """

    ready: ReplicaReady
    ledger: Ledger
    speed: Speed
    last_seen: float
    draining: bool = False
    drain_asked: Cause | None = None
    surprised: bool = False
    doubted: bool = False
    granted: dict[LeaseId, float] = field(default_factory=dict[LeaseId, float])
    growing: set[LeaseId] = field(default_factory=set[LeaseId])
    largest_tokens: int = field(init=False)
    prefill_tps: float = field(init=False)
    decode_tps: float = field(init=False)

    def __post_init__(self) -> None:
        capacity = self.ready.capacity
        held = capacity.kv_tokens // capacity.block_tokens * capacity.block_tokens
        self.largest_tokens = min(held, capacity.window_tokens)
        self.learn(self.speed)

    @property
    def replica(self) -> ReplicaId:
        return self.ready.replica

    @property
    def boot(self) -> BootId:
        return self.ready.boot

    @property
    def is_open(self) -> bool:
        """Whether it takes turns at all, and has a slot for one."""
        closed = self.draining or self.doubted or self.surprised
        return not closed and len(self.ledger.leases) < self.ready.capacity.num_slots

    def learn(self, speed: Speed) -> None:
        self.speed = speed
        self.prefill_tps = max(speed.prefill_tps, LEAST_TPS)
        self.decode_tps = max(speed.decode_tps, LEAST_TPS)

    def take_back(self, lease: LeaseId) -> None:
        """Undoes a grant that the front never booked."""
        self.ledger.drop(lease)
        self.granted.pop(lease, None)
        self.growing.discard(lease)

    def heard_again(self, now: float) -> None:
        """After a silence nothing is known of its book but the grants that it may book yet; its boot and its
        speed are the same."""
        for lease in self.ledger.leases.keys() - self.granted:
            self.ledger.drop(lease)
        self.ledger.forget_idle()
        self.growing.clear()
        self.last_seen = now


@dataclass(slots=True)
class Group:
    """Replicas of a model that may serve the same turns, whatever room they have.  They are the same until
    a replica comes or goes, so that the sums over them are too."""

    replicas: tuple[Replica, ...]
    names: frozenset[ReplicaId] = field(init=False)
    window_tokens: int = field(init=False)
    largest_tokens: int = field(init=False)
    measurers: tuple[Replica, ...] = field(init=False)
    is_mixed: bool = field(init=False)

    def __post_init__(self) -> None:
        self.names = frozenset(each.replica for each in self.replicas)
        self.window_tokens = max((each.ready.capacity.window_tokens for each in self.replicas), default=0)
        self.largest_tokens = max((each.largest_tokens for each in self.replicas), default=0)
        able = (each for each in self.replicas if Feature.MEASURE in each.ready.features)
        self.measurers = tuple(able)
        self.is_mixed = len({each.ready.locality for each in self.replicas}) > 1


def may_serve(replica: Replica, needs: frozenset[Feature], local_only: bool) -> bool:
    """Whether it may ever serve turns with these needs, whatever room it has."""
    is_local = replica.ready.locality is Locality.LOCAL
    return needs <= replica.ready.features and (is_local or not local_only)


class Fleet:
    """The replicas of one model.  `open`: those with `is_open`, as of their last `note`."""

    def __init__(self) -> None:
        self.replicas: dict[ReplicaId, Replica] = {}
        self.open: dict[ReplicaId, Replica] = {}
        self._groups: dict[tuple[frozenset[Feature], bool], Group] = {}
        self._features: frozenset[Feature] | None = None

    def enter(self, replica: Replica) -> None:
        self.replicas[replica.replica] = replica
        self._forget()

    def leave(self, replica: Replica) -> None:
        del self.replicas[replica.replica]
        self.open.pop(replica.replica, None)
        self._forget()

    def _forget(self) -> None:
        self._groups.clear()
        self._features = None

    def note(self, replica: Replica) -> None:
        """Something of it has changed."""
        if replica.is_open:
            self.open[replica.replica] = replica
        else:
            self.open.pop(replica.replica, None)

    @property
    def features(self) -> frozenset[Feature]:
        """What any of them can do."""
        if self._features is None:
            told = (each.ready.features for each in self.replicas.values())
            self._features = frozenset[Feature]().union(*told)
        return self._features

    def group(self, needs: frozenset[Feature], local_only: bool) -> Group:
        """Those that may serve a turn with these needs."""
        key = needs, local_only
        if key not in self._groups:
            able = (each for each in self.replicas.values() if may_serve(each, needs, local_only))
            self._groups[key] = Group(tuple(able))
        return self._groups[key]
