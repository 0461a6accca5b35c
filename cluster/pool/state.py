"""What the supervisor tells everyone else about itself: a small file, replaced as a whole."""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Stage(StrEnum):
    """How far a start is.  RUNNING: started; models may still be loading.  FAILED: `problem` says why."""

    STARTING_RAY = "starting Ray"
    STARTING_POOL = "starting the router and the gateway"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PoolState:
    """`created_s` and `started_s` are seconds since 1970; `created_s` tells a pid from its next owner."""

    pid: int
    created_s: float
    started_s: float
    stage: Stage
    http_port: int
    grpc_port: int
    ray_address: str = ""
    problem: str = ""

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


def write_state(path: Path, state: PoolState) -> None:
    write_private(path, json.dumps(asdict(state), indent=1))


def read_state(path: Path) -> PoolState | None:
    """The last state written, None where there is none that can be read."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["stage"] = Stage(fields["stage"])
        return PoolState(**fields)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once; nobody but this user can read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
