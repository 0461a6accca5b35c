"""What the handlers share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

import cluster
from cluster.gateway.turns import Turns

CONSOLE = Path(cluster.__file__).parent / "console"


@dataclass(frozen=True, slots=True)
class HttpContext:
    """`wall` is the time of day, only ever shown to people.  `write_s`: a client that takes nothing for so
    long is given up."""

    turns: Turns
    max_body_bytes: int
    wall: Callable[[], float] = time.time
    console: Path = CONSOLE
    write_s: float = 60.0
    view_every_s: float = 1.0
    started_at: float = field(default_factory=time.time)


CONTEXT = web.AppKey("context", HttpContext)
MODEL = web.RequestKey("model", str)
"""Set by a handler once the model is known to be one of the pool's: the name under which it is counted."""
