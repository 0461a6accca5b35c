"""Names of the things the core decides about.

Every name is an opaque string made outside the core; the core only compares them.
"""

from dataclasses import dataclass
from typing import NewType

NodeId = NewType("NodeId", str)
"""One computer."""

DeploymentId = NewType("DeploymentId", str)
"""One configured engine: a model, an engine kind and where it may run."""

ReplicaId = NewType("ReplicaId", str)
"""One running copy of a deployment, behind one front."""

BootId = NewType("BootId", str)
"""One start of a replica's engine; a restart makes a new one, so old reports cannot lie."""

GatewayId = NewType("GatewayId", str)
"""One gateway actor."""

TurnId = NewType("TurnId", str)
"""One request of a client, from its arrival to its one answer."""

LeaseId = NewType("LeaseId", str)
"""One grant of KV memory at one replica to one turn."""

Cause = NewType("Cause", str)
"""What set a chain of events and commands off: a request id, a tick number, a report."""


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """A session's KV lineage: prompts of one key share a growing prefix.

    `generation` rises when a client rewrites its history (compaction): the old prefix is then of no use.
    """

    tenant: str
    session: str
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.tenant}/{self.session}#{self.generation}"
