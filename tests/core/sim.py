"""What a small world around the machine is made of: turns with true sizes, fronts with real ledgers."""

from collections import deque
from dataclasses import dataclass, field, replace

from cluster.core.commands import Place
from cluster.core.errors import HearthError
from cluster.core.events import Event, LeaseEnded, ReplicaReady, ReplicaReport, TurnArrived
from cluster.core.eviction import victims
from cluster.core.facts import Capacity, Feature, LeaseView, Locality, ResidentView, Speed
from cluster.core.ids import BootId, Cause, DeploymentId, LeaseId, NodeId, ReplicaId
from cluster.core.ledger import Ledger, Reservation

MODEL = "m"


@dataclass
class SimTurn:
    arrived: TurnArrived
    prompt: int
    output: int
    generated: int = 0
    committed: bool = False
    lease: LeaseId | None = None
    front: ReplicaId | None = None
    streaming: bool = False
    answer: str | None = None
    error: HearthError | None = None
    unread: HearthError | None = None
    """A refusal that came while it streamed: read when it waits again."""
    num_answers: int = 0

    @property
    def over(self) -> bool:
        return self.answer is not None

    def refuse(self, error: HearthError) -> None:
        self.error = error
        self.end("refused")

    @property
    def place(self) -> tuple[ReplicaId, LeaseId]:
        """Where it streams."""
        assert self.front is not None
        assert self.lease is not None
        return self.front, self.lease

    def end(self, answer: str) -> None:
        self.answer = answer
        self.num_answers += answer != "cancelled"


@dataclass
class SimFront:
    ready: ReplicaReady
    ledger: Ledger
    draining: bool = False
    used: dict[LeaseId, int] = field(default_factory=dict)
    ended: list[LeaseId] = field(default_factory=list)
    outbox: deque[Event] = field(default_factory=deque)

    def say(self, event: Event) -> None:
        self.outbox.append(event)

    def report(self) -> None:
        boot = self.ready.boot
        leases, resident = self.views()
        self.say(
            ReplicaReport(self.ready.replica, boot, leases, resident, tuple(self.ended), Cause("report"))
        )
        self.ended.clear()

    def views(self) -> tuple[tuple[LeaseView, ...], tuple[ResidentView, ...]]:
        leases = tuple(
            LeaseView(lease.lease, lease.turn, lease.session, lease.reserved_tokens)
            for lease in self.ledger.leases.values()
        )
        idle = tuple(ResidentView(each.session, each.tokens) for each in self.ledger.resident.values())
        return leases, idle

    def book(self, turn: SimTurn, place: Place, size: int, now: float) -> bool:
        room = victims(self.ledger, place.session, size)
        if room is None:
            return False
        for session in room:
            self.ledger.forget(session)
        self.ledger.book(Reservation(place.lease, place.turn, place.session, size))
        self.used[place.lease] = turn.prompt + turn.generated
        return True

    def end(self, lease: LeaseId, now: float) -> None:
        kept = self.used.pop(lease)
        self.ledger.end(lease, kept, now)
        self.ended.append(lease)
        self.say(LeaseEnded(self.ready.replica, self.ready.boot, lease, kept, Cause(str(lease))))


def ready_of(name: ReplicaId, boot: BootId, capacity: Capacity) -> ReplicaReady:
    return ReplicaReady(
        replica=name,
        boot=boot,
        deployment=DeploymentId("d"),
        node=NodeId(f"node of {name}"),
        model=MODEL,
        model_hash="h",
        engine="sim",
        locality=Locality.LOCAL,
        endpoint="sim",
        capacity=capacity,
        speed=Speed(1000.0, 50.0),
        features=frozenset({Feature.CHAT, Feature.MEASURE}),
        cause=Cause("boot"),
    )


def ready_again(
    ready: ReplicaReady, leases: tuple[LeaseView, ...], resident: tuple[ResidentView, ...]
) -> ReplicaReady:
    return replace(ready, leases=leases, resident=resident)


def retold(turn: SimTurn) -> TurnArrived:
    return replace(
        turn.arrived,
        prompt_tokens=turn.prompt + turn.generated if turn.generated else None,
        generated_tokens=turn.generated,
        committed=turn.committed,
        lease=turn.lease if turn.streaming else None,
    )
