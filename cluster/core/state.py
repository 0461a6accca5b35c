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

from cluster.core.events import TurnArrived
from cluster.core.facts import Locality
from cluster.core.fleet import Fleet, Group, Homes, Replica
from cluster.core.ids import BootId, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId, TurnId
from cluster.core.layout import Layout, NodeFacts
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
    `stuck`: no replica of this group could take these prompt and output tokens at the last look.
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
    stuck: tuple[int, int, Group] | None = None

    @property
    def turn(self) -> TurnId:
        return self.arrived.turn


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
    `deployments` change by `declare`, `replicas` by `add` and `drop` alone: `fleets` has them by model.

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
    fleets: dict[str, Fleet] = field(default_factory=dict[str, Fleet])
    homes: Homes = field(default_factory=Homes)
    _in_deployment: dict[DeploymentId, dict[ReplicaId, Replica]] = field(
        default_factory=dict[DeploymentId, dict[ReplicaId, Replica]]
    )
    _of_model: dict[str, list[Deployment]] = field(default_factory=dict[str, list[Deployment]])
    _managed: list[Deployment] | None = None

    def age_s(self, now: float) -> float:
        """How long this router has been told anything."""
        return 0.0 if self.began_at is None else now - self.began_at

    def declare(self, deployment: Deployment) -> None:
        """A new deployment, or another of the same name."""
        self.deployments[deployment.deployment] = deployment
        self._of_model.clear()
        self._managed = None

    def lives(self) -> list[Life]:
        """Of the managed deployments, in declared order."""
        return [each.life for each in self.managed() if each.life is not None]

    def managed(self) -> list[Deployment]:
        """Those that are loaded and unloaded here, in declared order."""
        if self._managed is None:
            self._managed = [each for each in self.deployments.values() if each.life is not None]
        return self._managed

    def deployments_of(self, model: str) -> list[Deployment]:
        """In declared order."""
        if not self._of_model:
            for each in self.deployments.values():
                self._of_model.setdefault(each.model, []).append(each)
        return self._of_model.get(model, [])

    def preload_no_more(self) -> None:
        """What comes free is not filled by what nobody waits for."""
        for life in self.lives():
            life.preload = False

    def add(self, replica: Replica) -> None:
        self.replicas[replica.replica] = replica
        self._in_deployment.setdefault(replica.ready.deployment, {})[replica.replica] = replica
        self.fleet(replica.ready.model).enter(replica)

    def drop(self, replica: Replica) -> None:
        """Its idle sessions are nowhere any more."""
        if self.replicas.pop(replica.replica, None) is None:
            return
        replica.ledger.forget_idle()
        del self._in_deployment[replica.ready.deployment][replica.replica]
        self.fleet(replica.ready.model).leave(replica)

    def fleet(self, model: str) -> Fleet:
        known = self.fleets.get(model)
        if known is None:
            known = self.fleets[model] = Fleet()
        return known

    def replicas_in(self, deployment: DeploymentId) -> list[Replica]:
        return list(self._in_deployment.get(deployment, {}).values())

    def replicas_of(self, model: str) -> list[Replica]:
        fleet = self.fleets.get(model)
        return list(fleet.replicas.values()) if fleet is not None else []

    def answers(self, model: str) -> bool:
        """Whether a replica of this model is there."""
        fleet = self.fleets.get(model)
        return fleet is not None and bool(fleet.replicas)

    def knows(self, model: str) -> bool:
        return self.answers(model) or bool(self.deployments_of(model))

    def serves(self, model: str) -> bool:
        """Whether a turn for this model may wait here."""
        return self.answers(model) or any(not each.failed for each in self.deployments_of(model))

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
        return [each for each in self.deployments_of(model) if not each.failed]

    def models(self) -> list[str]:
        declared = {each.model for each in self.deployments.values()}
        return sorted(declared | {replica.ready.model for replica in self.replicas.values()})
