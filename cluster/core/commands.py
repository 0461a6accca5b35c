"""What the machine wants done.  Commands are sent with a deadline and never waited for.

| to       | commands |
|----------|----------|
| gateways | Place, Queue, Commit, Reject, Measure |
| loader   | Load, Unload |
| fronts   | Extend, Preempt, Evict, Drain, Spill, Restore, Move |

What became of a command comes back as an event, or does not come back: the machine then acts on the
next report or tick.
"""

from dataclasses import dataclass

from cluster.core.errors import HearthError
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
from cluster.core.layout import Layout


@dataclass(frozen=True, slots=True)
class Place:
    """Present `lease` at `endpoint`.  Void if the front has not booked it GRANT_VOID_S later."""

    turn: TurnId
    gateway: GatewayId
    session: SessionKey
    lease: LeaseId
    replica: ReplicaId
    boot: BootId
    node: NodeId
    engine: str
    endpoint: str
    reserved_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Queue:
    """The turn waits: `position` 1 is next, `estimate_s` is the honest expectation.

    `loading`: the stage in which the turn's model is on its way, empty where it does not wait for that;
    `fraction` 0..1 of the stage, None where it cannot be known.
    """

    turn: TurnId
    gateway: GatewayId
    position: int
    estimate_s: float
    cause: Cause
    loading: str = ""
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Send the 200 and keep the stream alive: from here the turn is not refused any more."""

    turn: TurnId
    gateway: GatewayId
    estimate_s: float
    cause: Cause


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer `error`; if the turn was committed, inside the stream.  The turn is over."""

    turn: TurnId
    gateway: GatewayId
    error: HearthError
    cause: Cause


@dataclass(frozen=True, slots=True)
class Measure:
    """Ask this replica's tokenizer for the exact prompt size and answer with TurnMeasured."""

    turn: TurnId
    gateway: GatewayId
    session: SessionKey
    replica: ReplicaId
    endpoint: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Extend:
    """The lease may grow to `reserved_tokens` in all."""

    replica: ReplicaId
    boot: BootId
    lease: LeaseId
    reserved_tokens: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Preempt:
    """No room to grow: stop the answer here; its gateway lets it go on where there is room."""

    replica: ReplicaId
    boot: BootId
    lease: LeaseId
    cause: Cause


@dataclass(frozen=True, slots=True)
class Evict:
    """Forget the idle session's KV."""

    replica: ReplicaId
    boot: BootId
    session: SessionKey
    cause: Cause


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish what runs and take nothing new."""

    replica: ReplicaId
    boot: BootId
    cause: Cause


@dataclass(frozen=True, slots=True)
class Spill:
    """Write the idle session's KV to the node's disk and forget it in memory."""

    replica: ReplicaId
    boot: BootId
    session: SessionKey
    cause: Cause


@dataclass(frozen=True, slots=True)
class Restore:
    """Read the session's spilled KV back into memory."""

    replica: ReplicaId
    boot: BootId
    session: SessionKey
    cause: Cause


@dataclass(frozen=True, slots=True)
class Move:
    """Hand the session's KV to `target`, at `endpoint`."""

    replica: ReplicaId
    boot: BootId
    session: SessionKey
    target: ReplicaId
    endpoint: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Load:
    """Start the deployment in this layout.  Said again until a LoaderReport names it."""

    deployment: DeploymentId
    layout: Layout
    cause: Cause


@dataclass(frozen=True, slots=True)
class Unload:
    """End the deployment and free its memory.  Said again until no LoaderReport names it."""

    deployment: DeploymentId
    cause: Cause


ToGateway = Place | Queue | Commit | Reject | Measure
ToFront = Extend | Preempt | Evict | Drain | Spill | Restore | Move
ToLoader = Load | Unload
Command = ToGateway | ToFront | ToLoader
