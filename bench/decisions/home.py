"""A home to be drawn by seed: fronts with ledgers of their own, on nodes that differ, and sessions."""

from dataclasses import dataclass, field
from random import Random

from bench.decisions.settings import DecisionsSettings
from cluster.core.events import ReplicaReady, ReplicaReport
from cluster.core.facts import Capacity, Feature, LeaseView, Locality, ResidentView, Speed
from cluster.core.ids import BootId, Cause, DeploymentId, LeaseId, NodeId, ReplicaId, SessionKey
from cluster.core.ledger import Ledger, Reservation
from cluster.simulate.lab import GPT_OSS_120B, MACHINES

CAUSE = Cause("bench")
WINDOW_TOKENS = GPT_OSS_120B.window_tokens
SLOTS = {"m3-ultra-256": 16, "spark-128": 8, "strix-128": 4, "rtx-pro-6000-96": 16, "m4-max-128": 8}
"""Sequences at once: an assumption of ours, more where memory is read faster."""

DECODE_SHARE = 0.3
"""Of the speed that a sequence has alone: several decode at once."""

ANSWER_TOKENS = (60, 900)
NEW_TOKENS = (100, 3000)
FIRST_TOKENS = (8_000, 40_000)
BYTES_PER_TOKEN = (2.5, 4.5)
"""Drawn evenly between these; 700 new tokens a turn and 100,000 of context are usual for agents."""


@dataclass
class Session:
    """`tokens`: of its context so far."""

    key: SessionKey
    model: str
    tokens: int
    bytes_per_token: float


@dataclass
class Front:
    """One replica's front: what it is, its true book, and its true speeds."""

    ready: ReplicaReady
    ledger: Ledger
    speed: Speed
    ended: list[LeaseId] = field(default_factory=list)

    def report(self) -> ReplicaReport:
        """Its book, in objects of its own, as if it had come over a wire."""
        ready = self.ready
        leases = tuple(
            LeaseView(each.lease, each.turn, copied(each.session), each.reserved_tokens)
            for each in self.ledger.leases.values()
        )
        ended = tuple(self.ended)
        self.ended.clear()
        return ReplicaReport(ready.replica, ready.boot, leases, self.resident(), ended, CAUSE)

    def resident(self) -> tuple[ResidentView, ...]:
        return tuple(
            ResidentView(copied(each.session), each.tokens) for each in self.ledger.resident.values()
        )

    def hit_tokens(self, session: SessionKey) -> int:
        known = self.ledger.resident.get(session)
        return known.tokens if known is not None else 0

    def book(self, reservation: Reservation) -> bool:
        """Whether there was room: nobody is evicted here, the router has said who goes."""
        if not self.ledger.fits(reservation.session, reservation.reserved_tokens):
            return False
        self.ledger.book(reservation)
        return True


def copied(key: SessionKey) -> SessionKey:
    """An equal key in other memory."""
    return SessionKey(key.tenant, "".join(list(key.session)), key.generation)


class Home:
    """Everything by `chance`: the same seed makes the same home."""

    def __init__(self, settings: DecisionsSettings, replicas: int, sessions: int, chance: Random) -> None:
        self.chance = chance
        self.num_named = 0
        self.models = [f"model-{number}" for number in range(settings.models)]
        self.sessions = [self.new_session(self.models[at % len(self.models)]) for at in range(sessions)]
        for session in self.sessions:
            session.tokens = chance.randint(FIRST_TOKENS[0], WINDOW_TOKENS * 3 // 4)
        kinds = list(MACHINES)
        wanted = sum(session.tokens for session in self.sessions) * settings.memory_share
        usual = sum(MACHINES[kinds[at % len(kinds)]].kv_bytes for at in range(replicas))
        self.fronts = {
            ReplicaId(f"replica-{at}"): self._front(at, kinds[at % len(kinds)], wanted / usual)
            for at in range(replicas)
        }
        self._fill()

    def new_session(self, model: str) -> Session:
        self.num_named += 1
        tenant = f"tenant-{self.num_named % 20}"
        key = SessionKey(tenant, f"{self.chance.getrandbits(128):032x}")
        return Session(key, model, self.chance.randint(*FIRST_TOKENS), self.chance.uniform(*BYTES_PER_TOKEN))

    def _front(self, at: int, kind: str, tokens_per_byte: float) -> Front:
        machine, slots = MACHINES[kind], SLOTS[kind]
        decode_tps = DECODE_SHARE * machine.bandwidth_bytes_per_s / GPT_OSS_120B.active_bytes
        chance = self.chance
        speed = Speed(
            machine.prefill_tokens_per_s * chance.uniform(0.9, 1.1), decode_tps * chance.uniform(0.9, 1.1)
        )
        least = 2 * WINDOW_TOKENS
        kv_tokens = max(int(machine.kv_bytes * tokens_per_byte), least) // 16 * 16
        capacity = Capacity(kv_tokens, slots, WINDOW_TOKENS, 16, resident_holds_slot=False)
        model = self.models[at % len(self.models)]
        ready = ReplicaReady(
            replica=ReplicaId(f"replica-{at}"),
            boot=BootId(f"boot-{at}"),
            deployment=DeploymentId(f"deployment-{at}"),
            node=NodeId(f"node-{at}"),
            model=model,
            model_hash="",
            engine="vllm",
            locality=Locality.LOCAL,
            endpoint=f"http://node-{at}",
            capacity=capacity,
            speed=speed,
            features=frozenset({Feature.CHAT, Feature.MEASURE}),
            cause=CAUSE,
        )
        return Front(ready, Ledger(capacity), speed)

    def _fill(self) -> None:
        """Sessions lie anywhere as far as there is room, in no order of their own."""
        of_model: dict[str, list[Front]] = {model: [] for model in self.models}
        for front in self.fronts.values():
            of_model[front.ready.model].append(front)
        for session in self.sessions:
            front = self.chance.choice(of_model[session.model])
            front.ledger.keep(session.key, session.tokens, 0.0)
