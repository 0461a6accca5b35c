"""What the machine is told of nodes, by people, by the loader, and of starts on their way.  See `events`."""

from dataclasses import dataclass

from cluster.core.facts import LoadedView, Locality
from cluster.core.ids import Cause, DeploymentId, NodeId, ReplicaId
from cluster.core.layout import ModelWish, NodeFacts


@dataclass(frozen=True, slots=True)
class NodeUp:
    """`facts` None: a node that runs no engine of ours (it is only seen)."""

    node: NodeId
    memory_bytes: int
    cause: Cause
    facts: NodeFacts | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    node: NodeId
    memory_free_bytes: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class NodeGone:
    node: NodeId
    cause: Cause


@dataclass(frozen=True, slots=True)
class DeploymentDeclared:
    """A deployment that shall run.  Turns for its model wait for it instead of being unknown.

    `wish`: how it may be loaded, by the machine's command; None: it runs by itself (an upstream).
    `keep_warm`: loaded as soon as there is room, never unloaded to make room.  `priority`: of two idle
    models the lower one goes first.  `unload_after_s`: unloaded when it has been idle for so long; None:
    never for that.
    """

    deployment: DeploymentId
    model: str
    locality: Locality
    cause: Cause
    wish: ModelWish | None = None
    keep_warm: bool = False
    priority: int = 0
    unload_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class DeploymentWithdrawn:
    """A deployment that will not run (again): its start was given up, or it was taken out."""

    deployment: DeploymentId
    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class DrainAsked:
    replica: ReplicaId
    cause: Cause


@dataclass(frozen=True, slots=True)
class LoadAsked:
    """A person wants the model loaded now, idle ones unloaded for it where need be."""

    model: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class UnloadAsked:
    """A person wants the model's memory: it finishes what runs, and is loaded again by the next turn."""

    model: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class LoaderReport:
    """All that the loader has, about once a second, and after each change.

    A deployment that is not in it holds no memory: an Unload is done when it is gone from here.
    """

    deployments: tuple[LoadedView, ...]
    cause: Cause


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The layout could not be started, or was lost with one of its nodes.  Its memory is held until a
    LoaderReport says that it is gone."""

    deployment: DeploymentId
    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class DeploymentLoading:
    """How far a replica's start has come.  `fraction` 0..1 of its stage, None where it cannot be known."""

    deployment: DeploymentId
    replica: ReplicaId
    stage: str
    fraction: float | None
    cause: Cause
