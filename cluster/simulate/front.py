"""One model's replica on one node of the lab: the book that its front would keep, and what it says of it.

The book is `cluster.core.ledger`, that of real fronts.  Models of one node share its memory evenly, as the
planner gives it to them.  Beneath it the engine's own order (`Memory`) stays: it takes an answer's room from
the start, the book as it grows, so a few hundred tokens of the least recently used session may be gone before
the book knows.
"""

from collections.abc import Iterator, Sequence
from math import isnan

from cluster.core.admission import STEP_TOKENS
from cluster.core.commands import Place
from cluster.core.events import ExtensionAsked, LeaseEnded, LeaseStarted, ReplicaReady, ReplicaReport
from cluster.core.eviction import victims, victims_for_tokens
from cluster.core.facts import Capacity, Feature, LeaseView, Locality, ResidentView, Speed
from cluster.core.ids import BootId, Cause, DeploymentId, LeaseId, NodeId, ReplicaId, SessionKey
from cluster.core.ledger import Ledger, Reservation
from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import STEP_OVERHEAD_S, Model

NUM_SLOTS = 4096
"""More than there are turns: the lab's engines run as many sequences as their memory holds."""

FEATURES = frozenset({Feature.CHAT, Feature.MEASURE})


class Front:
    """All sizes in tokens."""

    def __init__(self, engine: Engine, model: Model) -> None:
        self.engine, self.model = engine, model
        self.replica = ReplicaId(f"{model.name}@{engine.node.name}")
        self.boot = BootId(self.replica)
        self.reported_at = 0.0
        self.has_news = False
        self._ledger = Ledger(self._capacity())
        self._jobs: dict[LeaseId, Job] = {}
        self._ended: list[LeaseId] = []

    def _capacity(self) -> Capacity:
        node, real = self.engine.node, self.engine.real
        share = len(node.prefill_tokens_per_s) * self.model.kv_bytes_per_token
        kv_tokens = int(node.kv_bytes / share)
        window = min(self.model.window_tokens, kv_tokens, int(real.kv_bytes / self.model.kv_bytes_per_token))
        return Capacity(kv_tokens, NUM_SLOTS, window, resident_holds_slot=False)

    def ready(self) -> ReplicaReady:
        """Its speeds are those of an empty node, as they are measured at warm-up."""
        node = self.engine.node
        step_s = self.model.active_bytes / node.bandwidth_bytes_per_s + STEP_OVERHEAD_S
        return ReplicaReady(
            replica=self.replica,
            boot=self.boot,
            deployment=DeploymentId(self.model.name),
            node=NodeId(node.name),
            model=self.model.name,
            model_hash=self.model.name,
            engine="simulated",
            locality=Locality.LOCAL,
            endpoint=node.name,
            capacity=self._ledger.capacity,
            speed=Speed(node.prefill_tokens_per_s[self.model.name], 1 / step_s),
            features=FEATURES,
            cause=Cause(f"ready:{self.replica}"),
        )

    def report(self, now: float) -> ReplicaReport:
        """The whole book, as it is."""
        ended, self._ended = tuple(self._ended), []
        self.reported_at, self.has_news = now, False
        ledger = self._ledger
        return ReplicaReport(
            self.replica,
            self.boot,
            tuple(
                LeaseView(one.lease, one.turn, one.session, one.reserved_tokens)
                for one in ledger.leases.values()
            ),
            tuple(ResidentView(idle.session, idle.tokens) for idle in ledger.resident.values()),
            ended,
            Cause(f"report:{self.replica}"),
        )

    def has_window_for(self, job: Job) -> bool:
        """Whether it could hold prompt and answer, empty."""
        return job.tokens <= self._ledger.capacity.window_tokens

    def book(self, place: Place, job: Job) -> Sequence[SessionKey] | None:
        """Books the lease; returns the idle sessions that make room for it, None where not even all do."""
        self.has_news = True
        window = self._ledger.capacity.window_tokens
        tokens = min(max(place.reserved_tokens, job.input_tokens + STEP_TOKENS), window)
        idle = victims(self._ledger, place.session, tokens)
        if idle is None:
            return None
        self._forget(idle)
        self._ledger.book(Reservation(place.lease, place.turn, place.session, tokens))
        self._jobs[place.lease] = job
        return idle

    def started(self, place: Place, job: Job) -> LeaseStarted:
        reserved = self._ledger.leases[place.lease].reserved_tokens
        return LeaseStarted(self.replica, self.boot, place.lease, job.input_tokens, reserved, place.cause)

    def asks(self) -> Iterator[ExtensionAsked]:
        """For the answers that will soon have used their reservation."""
        window = self._ledger.capacity.window_tokens
        for lease, job in self._jobs.items():
            reserved = self._ledger.leases[lease].reserved_tokens
            said = 0.0 if isnan(job.first_token_s) else job.output_tokens - job.left_tokens
            if reserved < window and reserved - job.input_tokens - said < STEP_TOKENS / 2:
                wanted = min(reserved + STEP_TOKENS, window)
                yield ExtensionAsked(self.replica, self.boot, lease, wanted, Cause(str(job.number)))

    def grow(self, lease: LeaseId, reserved_tokens: int) -> Sequence[SessionKey]:
        """Lets a lease have so much in all, if there is room; returns the idle sessions that make it."""
        if lease not in self._jobs or reserved_tokens <= self._ledger.leases[lease].reserved_tokens:
            return ()
        idle = victims_for_tokens(self._ledger, self._ledger.room_to_grow(lease, reserved_tokens))
        if idle is None:
            return ()
        self._forget(idle)
        self._ledger.resize(lease, reserved_tokens)
        return idle

    def close(self, lease: LeaseId, now: float) -> LeaseEnded:
        """Prompt and answer stay resident, as far as they were reserved."""
        job = self._jobs.pop(lease)
        session = self._ledger.leases[lease].session
        self._ledger.end(lease, job.tokens, now)
        self._ended.append(lease)
        self.has_news = True
        idle = self._ledger.resident.get(session)
        return LeaseEnded(self.replica, self.boot, lease, idle.tokens if idle else 0, Cause(str(job.number)))

    def evict(self, session: SessionKey) -> bool:
        """Forgets an idle session.  False: it runs, or is not here."""
        is_idle = session in self._ledger.resident
        self._forget([session])
        return is_idle

    def _forget(self, sessions: Sequence[SessionKey]) -> None:
        for session in sessions:
            self._ledger.forget(session)
            self.has_news = True
