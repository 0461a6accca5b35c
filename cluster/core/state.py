"""The machine's state: plain records, written by RouterMachine alone.

A turn's phases (rows: where it is; the machine forgets a turn when it is over):

    WAITING  in the queue             Place          -> GRANTED
    GRANTED  told to its gateway      LeaseStarted   -> RUNNING    refused, void -> WAITING
    RUNNING  booked by the front      LeaseEnded     -> ENDING     StreamLost    -> WAITING
                                      ReplicaGone    -> ENDING
    ENDING   its lease is over        StreamLost, refused -> WAITING
    any                               TurnFinished, TurnCancelled, Reject: over
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from cluster.core.events import (
    ReplicaReady,
    TurnArrived,
)
from cluster.core.facts import Feature, Locality, Speed
from cluster.core.ids import BootId, Cause, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId, TurnId
from cluster.core.layout import Layout, NodeFacts
from cluster.core.ledger import Ledger
from cluster.core.lifecycle import Life, Start


class Phase(StrEnum):
    WAITING = "waiting"
    GRANTED = "granted"
    RUNNING = "running"
    ENDING = "ending"


@dataclass(slots=True)
class Turn:
    """One turn that is not over.  Times are the machine's `now`.

    `start_tag`, `end_tag`: its place in the fair order, kept when it has to wait again.  `waiting_since`:
    when it began to wait, the last time.  `committed`: its client has, or may have, a 200.  `measured`: its
    prompt size is exact, or cannot be had.  `skipped_at`: since when later turns have gone before it.
    `lost_boots`: those that lost it, and when.
    """

    arrived: TurnArrived
    arrived_at: float
    waiting_since: float
    start_tag: float = 0.0
    end_tag: float = 0.0
    phase: Phase = Phase.WAITING
    committed: bool = False
    prompt_tokens: int | None = None
    generated_tokens: int = 0
    measured: bool = False
    measuring_since: float | None = None
    replica: ReplicaId | None = None
    lease: LeaseId | None = None
    granted_at: float | None = None
    started_at: float | None = None
    first_token_at: float | None = None
    ended_at: float | None = None
    skipped_at: float | None = None
    lost_boots: dict[BootId, float] = field(default_factory=dict[BootId, float])
    num_lost: int = 0
    told_position: int = 0
    told_loading: tuple[str, int] = ("", 0)

    @property
    def turn(self) -> TurnId:
        return self.arrived.turn


@dataclass(slots=True)
class Replica:
    """One replica as the router knows it.

    `granted`: leases its front has not booked yet.  `growing`: leases that may outgrow their
    reservation.  `surprised`: the front's book holds more than the forecast had room for.
    `doubted`: it refused a grant or broke a stream off; nothing more until its front is heard again.
    `drain_asked`: why it shall drain, until its front says that it does.
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

    @property
    def replica(self) -> ReplicaId:
        return self.ready.replica

    @property
    def boot(self) -> BootId:
        return self.ready.boot

    def take_back(self, lease: LeaseId) -> None:
        """Undoes a grant that the front never booked."""
        self.ledger.leases.pop(lease, None)
        self.granted.pop(lease, None)
        self.growing.discard(lease)

    def heard_again(self, now: float) -> None:
        """After a silence nothing is known of its book but the grants that it may book yet; its boot and its
        speed are the same."""
        unseen = [self.ledger.leases[lease] for lease in self.granted]
        self.ledger = Ledger(self.ready.capacity)
        for reservation in unseen:
            self.ledger.adopt(reservation)
        self.growing.clear()
        self.last_seen = now


@dataclass(slots=True)
class Deployment:
    """`failed`: why it will not run, empty while it may.  `life`: of one that is loaded and unloaded here.
    `start`: how far a replica on its way has come."""

    deployment: DeploymentId
    model: str
    locality: Locality
    failed: str = ""
    life: Life | None = None
    start: Start | None = None

    def may_come(self) -> bool:
        """Whether a replica may come of which nothing is known yet."""
        return not self.failed and (self.life is None or self.life.coming)


@dataclass(slots=True)
class Node:
    """`facts`: what it offers to models.  `surprised`: more is held there than it has, and not by us."""

    node: NodeId
    memory_bytes: int
    memory_free_bytes: int
    last_seen: float
    facts: NodeFacts | None = None
    surprised: bool = False


@dataclass(slots=True)
class State:
    """`silent`: replicas that were given up for their silence; one report brings them back.

    `began_at`: when the first event came; `loader_at`: when the loader was first heard; `nodes_at`: when a
    node last came.  `foreign`: what the loader has and nobody declared.  `swaps`: of late, (when, seconds
    of loading).
    """

    nodes: dict[NodeId, Node] = field(default_factory=dict[NodeId, Node])
    deployments: dict[DeploymentId, Deployment] = field(default_factory=dict[DeploymentId, Deployment])
    replicas: dict[ReplicaId, Replica] = field(default_factory=dict[ReplicaId, Replica])
    silent: dict[ReplicaId, Replica] = field(default_factory=dict[ReplicaId, Replica])
    gateways: dict[GatewayId, float] = field(default_factory=dict[GatewayId, float])
    turns: dict[TurnId, Turn] = field(default_factory=dict[TurnId, Turn])
    began_at: float | None = None
    loader_at: float | None = None
    nodes_at: float = 0.0
    foreign: dict[DeploymentId, Layout] = field(default_factory=dict[DeploymentId, Layout])
    swaps: deque[tuple[float, float]] = field(default_factory=lambda: deque[tuple[float, float]](maxlen=64))

    def age_s(self, now: float) -> float:
        """How long this router has been told anything."""
        return 0.0 if self.began_at is None else now - self.began_at

    def lives(self) -> list[Life]:
        """Of the managed deployments, in declared order."""
        return [each.life for each in self.deployments.values() if each.life is not None]

    def preload_no_more(self) -> None:
        """What comes free is not filled by what nobody waits for."""
        for life in self.lives():
            life.preload = False

    def replicas_in(self, deployment: DeploymentId) -> list[Replica]:
        return [each for each in self.replicas.values() if each.ready.deployment == deployment]

    def replicas_of(self, model: str) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.ready.model == model]

    def serves(self, model: str) -> bool:
        """Whether a turn for this model may wait here."""
        return bool(self.localities(model))

    def localities(self, model: str) -> set[Locality]:
        """Where the model is, or will be, answered."""
        declared = {each.locality for each in self._to_run(model)}
        return declared | {replica.ready.locality for replica in self.replicas_of(model)}

    def is_loading(self, model: str) -> bool:
        """Whether a replica may still come of which nothing is known yet."""
        there = {replica.ready.deployment for replica in self.replicas_of(model)}
        return any(
            each.may_come() and (each.life is not None or each.deployment not in there)
            for each in self._to_run(model)
        )

    def _to_run(self, model: str) -> list[Deployment]:
        return [each for each in self.deployments.values() if each.model == model and not each.failed]

    def models(self) -> list[str]:
        declared = {each.model for each in self.deployments.values()}
        return sorted(declared | {replica.ready.model for replica in self.replicas.values()})


def can_serve(replica: Replica, needs: frozenset[Feature]) -> bool:
    return needs <= replica.ready.features
