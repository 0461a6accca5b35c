"""The command as a person types it: in a home of its own, on ports of its own."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess
from typing import Any

RUN_TIMEOUT_S = 100.0
OWN_TERMINAL = (
    "import fcntl, os, sys, termios;fcntl.ioctl(0, termios.TIOCSCTTY, 0);os.execv(sys.argv[1], sys.argv[1:])"
)
"""Runs its arguments with the terminal on stdin as theirs: Ctrl-C typed there reaches them."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, below those that systems hand out and Ray takes as it starts."""
    held: list[socket.socket] = []
    for port in random.sample(range(10_000, 30_000), 200):
        with contextlib.suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", port)))
        if len(held) == count:
            break
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

    def popen(self, *args: str, terminal: int | None = None) -> "subprocess.Popen[str]":
        """Starts the command with stdout and stderr in one pipe, or on a terminal that becomes its own."""
        env, text = self._env(), True
        if terminal is None:
            return subprocess.Popen(self._argv(args), env=env, text=text, stdout=PIPE, stderr=STDOUT)
        own = [sys.executable, "-c", OWN_TERMINAL, *self._argv(args)]
        return subprocess.Popen(
            own, env=env, text=text, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
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
