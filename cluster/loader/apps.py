"""The applications as the loader sees them.  `actors.apps` implements this over Ray Serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cluster.core.ids import DeploymentId
from cluster.core.layout import Layout


class Stage(StrEnum):
    """STARTING: its process is not there (again).  RUNNING: it is; its engine may still be loading.
    FAILED: Serve has given it up.  ENDING: on its way out, memory held."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class App:
    """`words`: what Serve says of it."""

    stage: Stage
    words: str = ""


class Apps(Protocol):
    """Calls block; each is made in a thread of its own.  Any exception means: ask again later."""

    def start(self, deployment: DeploymentId, layout: Layout) -> None:
        """Asks for the application and returns when it is listed.  Raises ValueError where it can never
        be."""
        ...

    def end(self, deployment: DeploymentId) -> None:
        """Asks for its end.  One that is not there is no fault."""
        ...

    def listed(self) -> Mapping[DeploymentId, App]:
        """All that are there, or still hold a node's memory."""
        ...
