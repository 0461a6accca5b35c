"""What the parts of one front share."""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.core.events import Event
from cluster.core.ids import BootId, DeploymentId, NodeId, ReplicaId
from cluster.deployments.engine import Engine, EngineFacts
from cluster.front.book import Book
from cluster.front.counters import FrontCounters
from cluster.front.limits import FrontLimits
from cluster.front.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this front is."""

    replica: ReplicaId
    boot: BootId
    deployment: DeploymentId
    node: NodeId


@dataclass(frozen=True, slots=True)
class FrontContext:
    """`say` hands an event to the reporter; it never waits."""

    identity: Identity
    engine: Engine
    facts: EngineFacts
    book: Book
    limits: FrontLimits
    counters: FrontCounters
    prepared: Prepared
    say: Callable[[Event], None]
    now: Callable[[], float]

    def pace_s(self) -> float:
        """The time between two frames of a turn.  It grows with their number, so that on machines where
        engine and gateway share the cores many turns do not take them from the engine."""
        return max(self.limits.pace_s, len(self.book.ledger.leases) / self.limits.frames_per_s)
