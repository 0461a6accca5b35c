"""Ray across the hosts of a lab: a head on the first one, the others joined, each node known by its label."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from cluster.pool.ray_head import NODE_LABEL, OBJECT_STORE_BYTES
from tests.lab.hosts import Host, Inside
from tests.lab.lab import Lab
from tests.lab.tools import LabError

PORT = 6379
TOKEN = "/tmp/ray-token"
START_S = 120.0
NUM_CPUS = 8
"""Promised, not there: Ray shall refuse nothing for want of them."""

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # every host sees the memory of the whole machine
    "RAY_raylet_start_wait_time_s": "120",
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}
PORTS = {
    "node-manager-port": 6380,
    "object-manager-port": 6381,
    "runtime-env-agent-port": 6382,
    "dashboard-agent-listen-port": 6383,
    "dashboard-agent-grpc-port": 6384,
    "metrics-export-port": 6385,
    "min-worker-port": 20000,
    "max-worker-port": 20999,
}


class RayCluster:
    """`environment`: beside ENVIRONMENT, for Ray itself and whatever runs on it, on every host."""

    def __init__(self, lab: Lab, environment: Mapping[str, str] | None = None) -> None:
        self.lab = lab
        self.env = {**ENVIRONMENT, **(environment or {})}
        self.nodes: dict[str, Inside] = {}
        self._hosts = list(lab)
        self._token = secrets.token_hex(32)

    @property
    def head(self) -> Host:
        return self._hosts[0]

    @property
    def address(self) -> str:
        return f"{self.head.address}:{PORT}"

    def __enter__(self) -> RayCluster:
        with ExitStack() as undo:
            undo.callback(self.close)
            self._start(self.head, "--head", f"--port={PORT}", "--include-dashboard=false")
            for host in self._hosts[1:]:
                self.join(host)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops Ray on every host, and what ran on it.  May be called twice."""
        for host in self._hosts:
            self.leave(host)

    def join(self, host: Host) -> None:
        """Starts Ray on a host that is not the head.  Raises LabError with its last lines."""
        self._start(host, f"--address={self.address}")

    def leave(self, host: Host) -> None:
        """Ends all of Ray on a host, and what ran on it."""
        host = self.lab[host.name]
        host.end_all()
        if (node := self.nodes.pop(host.name, None)) is not None:
            node.popen.wait()

    def _start(self, host: Host, *options: str) -> None:
        host.path(TOKEN).write_text(self._token)
        log = host.path("/tmp/ray-start.log")
        labels = {NODE_LABEL: host.name, **host.settings.labels}
        settings = {
            "node-ip-address": host.address,
            "num-cpus": NUM_CPUS,
            "memory": host.settings.memory_bytes,
            "object-store-memory": OBJECT_STORE_BYTES,
            "labels": ",".join(f"{name}={value}" for name, value in labels.items()),
            **PORTS,
        }
        named = [f"--{name}={value}" for name, value in settings.items()]
        command = ("python", "-m", "tests.lab.ray_start", "start", *options, *named, "--block")
        with log.open("wb") as output:
            node = self.nodes[host.name] = host.start(*command, env=self.env, output=output)
        _await_words("Ray runtime started", log, node)

    def python(
        self, host: Host, script: str, *args: str, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script on a host, as a driver if it connects to `auto`.  Raises LabError where it fails."""
        return host.run("python", "-c", script, *args, env=self.driver_env, timeout_s=timeout_s)

    @property
    def driver_env(self) -> dict[str, str]:
        return {**self.env, "RAY_ADDRESS": self.address}


def _await_words(words: str, log: Path, node: Inside) -> None:
    deadline = time.monotonic() + START_S
    while words not in (text := log.read_text(errors="replace")):
        if node.popen.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"Ray did not start: {text.strip()[-2000:]}")
        time.sleep(0.05)
