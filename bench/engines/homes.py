"""Pools that run one engine each: started by `hearth up` on this machine, or over two lab hosts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from bench.harness.pool import Pool
from bench.harness.record import Row

JOB_S = 1800.0


def socket_of(pool: Pool, model: str) -> str:
    """The Unix socket on which the engine of this model listens.  Raises RuntimeError."""
    replica = next(
        (found[0] for role, found in pool.processes().items() if role == f"front of {model}"), None
    )
    for process in replica.children(recursive=True) if replica else ():
        for connection in process.net_connections("unix"):
            if str(connection.laddr).endswith(".sock") and connection.status == psutil.CONN_NONE:
                return str(connection.laddr)
    raise RuntimeError(f"no engine of {model} listens")


@dataclass(frozen=True, slots=True)
class Target:
    """One engine in a running pool.  `enter`: words before what has to run on the gateway's host."""

    model: str
    kind: str
    gateway: tuple[str, int]
    engine: str
    enter: tuple[str, ...] = ()

    def measure(self, settings: dict[str, Any], is_flood: bool = False) -> Iterator[Row]:
        """Rows of a job, as they come.  Raises RuntimeError where it fails."""
        job = {"model": self.model, "kind": self.kind, "gateway": self.gateway, "engine": self.engine}
        line = json.dumps({**job, "settings": settings, "is_flood": is_flood})
        argv = [*self.enter, sys.executable, "-m", "bench.engines.job"]
        done = subprocess.run(argv, input=line, capture_output=True, text=True, timeout=JOB_S, check=False)
        if done.returncode:
            raise RuntimeError(f"measuring {self.model} failed: {done.stderr[-2000:]}")
        for told in done.stdout.splitlines():
            yield json.loads(told)
