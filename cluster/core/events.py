"""What the machine is told.  Events are facts: they are never refused, only taken in.

| from     | events |
|----------|--------|
| nodes    | NodeUp, NodeReport, NodeGone |
| people   | DeploymentDeclared, DeploymentWithdrawn, DrainAsked, LoadAsked, UnloadAsked |
| loader   | LoaderReport, LoadFailed |
| replicas | DeploymentLoading |
| fronts   | ReplicaReady, ReplicaReport, ReplicaDraining, ReplicaGone, |
|          | LeaseStarted, ExtensionAsked, LeaseEnded |
| gateways | GatewayUp, TurnArrived, TurnMeasured, FirstToken, TurnFinished, TurnCancelled, |
|          | GrantRefused, StreamLost |
| clock    | Tick |

Every event carries `cause`.  No event carries a word of a conversation or a secret: the journal keeps
them all.  Sizes are in tokens unless the name says bytes; durations are seconds of their holder's clock.
"""

from dataclasses import dataclass

from cluster.core.facts import (
    Capacity,
    Feature,
    LeaseView,
    Locality,
    Privacy,
    ResidentView,
    Speed,
)
from cluster.core.ids import (
    BootId,
    Cause,
    DeploymentId,
    GatewayId,
    LeaseId,
    NodeId,
    ReplicaId,
    SessionKey,
    TurnId,
)
from cluster.core.pool_events import (
    DeploymentDeclared,
    DeploymentLoading,
    DeploymentWithdrawn,
    DrainAsked,
    LoadAsked,
    LoaderReport,
    LoadFailed,
    NodeGone,
    NodeReport,
    NodeUp,
    UnloadAsked,
)


@dataclass(frozen=True, slots=True)
class ReplicaReady:
    """Loaded, warmed up, and answering.  Sent again, with its leases, to every new router epoch.

    `weights_bytes`, `kv_bytes`: memory the engine holds, 0 where it does not tell.
    """

    replica: ReplicaId
    boot: BootId
    deployment: DeploymentId
    node: NodeId
    model: str
    model_hash: str
    engine: str
    locality: Locality
    endpoint: str
    capacity: Capacity
    speed: Speed
    features: frozenset[Feature]
    cause: Cause
    leases: tuple[LeaseView, ...] = ()
    resident: tuple[ResidentView, ...] = ()
    weights_bytes: int = 0
    kv_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """The front's ledger, whole, about once a second.  `ended` are the leases that ended since the
    previous report: a grant that is in neither list has not been presented yet."""

    replica: ReplicaId
    boot: BootId
    leases: tuple[LeaseView, ...]
    resident: tuple[ResidentView, ...]
    ended: tuple[LeaseId, ...]
    cause: Cause


@dataclass(frozen=True, slots=True)
class ReplicaDraining:
    """Finishes what runs, takes nothing new."""

    replica: ReplicaId
    boot: BootId
    cause: Cause


@dataclass(frozen=True, slots=True)
class ReplicaGone:
    replica: ReplicaId
    boot: BootId
    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class LeaseStarted:
    """The turn was presented with its ticket and booked; sizes are the engine tokenizer's."""

    replica: ReplicaId
    boot: BootId
    lease: LeaseId
    prompt_tokens: int
    reserved_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class ExtensionAsked:
    """The running turn will soon have used its reservation; it wants `reserved_tokens` in all."""

    replica: ReplicaId
    boot: BootId
    lease: LeaseId
    reserved_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """The front's word, and the only one, that a reservation is free again.

    `resident_tokens` is what stays in the engine's memory for the session's next turn.
    """

    replica: ReplicaId
    boot: BootId
    lease: LeaseId
    resident_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class GatewayUp:
    """A gateway is there; said about once a second, because the turns of a silent one are given up."""

    gateway: GatewayId
    cause: Cause


@dataclass(frozen=True, slots=True)
class TurnArrived:
    """A turn wants a place.

    `prompt_bytes` sizes the prompt until something better is known; `prompt_tokens` is exact where the
    gateway has it (a continuation: prompt and answer so far, which is `generated_tokens` of it).
    `max_tokens`, of the whole answer; None: until it stops.
    A new router is told of every turn again: `waited_s` is how long it has waited already, `committed`
    that its client has a 200 and it is not refused any more, `lease` under what it runs already.
    """

    turn: TurnId
    gateway: GatewayId
    session: SessionKey
    model: str
    prompt_bytes: int
    cause: Cause
    prompt_tokens: int | None = None
    generated_tokens: int = 0
    max_tokens: int | None = None
    privacy: Privacy = Privacy.ANY
    needs: frozenset[Feature] = frozenset()
    patience_s: float = 120.0
    waited_s: float = 0.0
    committed: bool = False
    lease: LeaseId | None = None


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """The exact size of a waiting turn's prompt; None where it could not be had."""

    turn: TurnId
    prompt_tokens: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class FirstToken:
    turn: TurnId
    cause: Cause


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The client has its whole answer.  `cached_tokens` of the prompt were not computed again."""

    turn: TurnId
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class TurnCancelled:
    """The client went away, at whatever stage."""

    turn: TurnId
    cause: Cause


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """The front did not start the lease (`no_room`, stale epoch, draining); the exact size if known."""

    turn: TurnId
    lease: LeaseId
    reason: str
    prompt_tokens: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The stream broke or was preempted after `generated_tokens`.  The turn wants a place again, with
    `prompt_tokens` now counting what was generated; `continuable` False: it cannot go on."""

    turn: TurnId
    lease: LeaseId
    prompt_tokens: int | None
    generated_tokens: int
    preempted: bool
    continuable: bool
    cause: Cause


@dataclass(frozen=True, slots=True)
class Tick:
    cause: Cause


Event = (
    NodeUp
    | NodeReport
    | NodeGone
    | DeploymentDeclared
    | DeploymentWithdrawn
    | DrainAsked
    | LoadAsked
    | UnloadAsked
    | LoaderReport
    | LoadFailed
    | DeploymentLoading
    | ReplicaReady
    | ReplicaReport
    | ReplicaDraining
    | ReplicaGone
    | LeaseStarted
    | ExtensionAsked
    | LeaseEnded
    | GatewayUp
    | TurnArrived
    | TurnMeasured
    | FirstToken
    | TurnFinished
    | TurnCancelled
    | GrantRefused
    | StreamLost
    | Tick
)
