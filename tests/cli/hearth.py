"""The command as a person types it: in a home of its own, on ports of its own."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

RUN_TIMEOUT_S = 100.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


@dataclass(frozen=True)
class Hearth:
    home: Path
    http_port: int
    grpc_port: int

    @property
    def ports(self) -> list[str]:
        return ["--port", str(self.http_port), "--grpc-port", str(self.grpc_port)]

    def popen(self, *args: str) -> "subprocess.Popen[str]":
        """Starts the command; stdout and stderr are one."""
        return subprocess.Popen(
            self._argv(args), env=self._env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *args: str) -> "CompletedProcess[str]":
        return subprocess.run(
            self._argv(args),
            env=self._env(),
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=RUN_TIMEOUT_S,
        )

    def json(self, *args: str) -> Any:  # noqa: ANN401 - whatever the command says
        return json.loads(self.run(*args, "--json").stdout)

    def _argv(self, args: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-c", "from cluster.cli import app; app()", *args]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "HEARTH_HOME": str(self.home), "COLUMNS": "110"}
