"""A pool of its own for a bench: a fresh home, free ports, started and ended by `hearth` as people do."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from cluster.pool.paths import PoolPaths
from cluster.pool.processes import find_processes
from cluster.pool.state import read_state

HEARTH = Path(sys.executable).with_name("hearth")
START_S = 240.0
DOWN_S = 90.0


@dataclass(frozen=True, slots=True)
class Pool:
    """`http`: where its gateway listens."""

    home: Path
    http: tuple[str, int]
    grpc_port: int

    def up(self) -> float:
        """Starts it and returns the seconds until every model is ready.  Raises RuntimeError."""
        began = time.monotonic()
        ports = ["--port", str(self.http[1]), "--grpc-port", str(self.grpc_port)]
        self._hearth("up", START_S, *ports, "--no-discover", "--json")
        return time.monotonic() - began

    def down(self) -> None:
        self._hearth("down", DOWN_S, "--json")

    def processes(self) -> dict[str, list[psutil.Process]]:
        """All its processes, by what they are to the pool."""
        paths = PoolPaths(self.home)
        state = read_state(paths.state)
        assert state is not None, "start the pool first"
        found: dict[str, list[psutil.Process]] = {}
        for process in find_processes(paths.pool_id, state.pid, state.created_s):
            found.setdefault(role_of(process.cmdline() or [process.name()]), []).append(process)
        return found

    def _hearth(self, command: str, timeout_s: float, *options: str) -> None:
        told = subprocess.run(
            [str(HEARTH), command, *options],
            env={**os.environ, "HEARTH_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if told.returncode:
            raise RuntimeError(f"hearth {command} failed: {told.stdout}{told.stderr}")


@contextmanager
def fresh_pool(config: dict[str, Any]) -> Generator[Pool]:
    """A pool that is not started yet, in a home with `config` as its hearth.yaml; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="hearth-bench-"))
    (home / "hearth.yaml").write_text(yaml.safe_dump(config))
    http_port, grpc_port = _free_ports(2)
    pool = Pool(home, ("127.0.0.1", http_port), grpc_port)
    try:
        yield pool
    finally:
        pool.down()
        shutil.rmtree(home, ignore_errors=True)


def _free_ports(num: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(num)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


ACTORS = {
    "RouterActor": "router",
    "GatewayActor": "gateway",
    "NodeActor": "node agent",
    "LoaderActor": "loader",
}
PROGRAMS = {
    "cluster.deployments.llamacpp_child": "engine",
    "cluster.deployments.mlx_server": "engine",
    "cluster.deployments.vllm_rank": "engine",
    "actors": "supervisor",
    "dashboard.py": "ray: dashboard",
    "monitor.py": "ray: autoscaler",
    "log_monitor.py": "ray: log monitor",
    "gcs_server": "ray: gcs",
    "raylet": "ray: raylet",
}


def role_of(cmdline: list[str]) -> str:
    """What a process is to the pool, told from how it was started."""
    if cmdline[0].startswith("ray::"):
        kind, _, rest = cmdline[0].removeprefix("ray::").partition(":")
        if kind == "ServeReplica":
            return f"front of {rest.partition(':')[0]}"
        kind = re.split(r"[. ]", kind)[0]  # while it works, Ray adds the name of the method
        return ACTORS.get(kind, f"ray: {kind}")
    names = [word.rpartition("/")[2] for word in cmdline]
    return next((role for name, role in PROGRAMS.items() if name in names), f"other: {names[0]}")


def memory(processes: dict[str, list[psutil.Process]]) -> tuple[str, dict[str, int]]:
    """Bytes by role, as PSS where the system tells it (shared pages counted once), else as RSS."""
    by_role: dict[str, int] = {}
    kind = "rss"
    for role, found in processes.items():
        for process in found:
            told = process.memory_full_info()
            kind = "pss" if hasattr(told, "pss") else "rss"
            by_role[role] = by_role.get(role, 0) + getattr(told, kind)
    return kind, by_role


def cpu_seconds(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """User and system time so far, by role; `client` is this process."""
    spent = {role: sum(sum(one.cpu_times()[:2]) for one in found) for role, found in processes.items()}
    return {**spent, "client": sum(os.times()[:2])}
