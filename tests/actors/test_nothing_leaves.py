"""With only loopback to speak of: a pool starts, answers, ends, and not one packet tries to leave.

Whatever is not loopback is sent to an interface that leads nowhere, and counts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.hearth import free_ports

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(300)]
AWAY = "10.255.255"
COMMAND_S = 150.0
TURN = """
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0, timeout=60)
answer = client.chat.completions.create(
    model="hearth-guide", messages=[{"role": "user", "content": "Hello"}], max_tokens=8, temperature=0)
print(answer.choices[0].message.content)
"""


@dataclass(frozen=True)
class Namespace:
    """A network of its own: loopback, and the interface `away`, the way to everywhere else."""

    name: str
    env: dict[str, str]

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        whole = ["ip", "netns", "exec", self.name, *argv]
        return subprocess.run(whole, env=self.env, text=True, capture_output=True, timeout=COMMAND_S)

    def hearth(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-c", "from cluster.cli import app; app()", *args)

    def num_sent(self) -> int:
        """Packets that left, or would have."""
        links = json.loads(self.run("ip", "-json", "-statistics", "link", "show", "dev", "away").stdout)
        return links[0]["stats64"]["tx"]["packets"]


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    name = f"hearth-{os.getpid()}"
    resolver = Path("/etc/netns") / name
    with ExitStack() as undo:
        _ip("netns", "add", name)
        undo.callback(_ip, "netns", "delete", name)
        undo.callback(subprocess.run, ["rm", "-rf", str(resolver)], check=True)
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text(f"nameserver {AWAY}.1\noptions timeout:1 attempts:1\n")
        inside = ("-n", name)
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "link", "add", "name", "away", "type", "veth", "peer", "name", "beyond")
        # The kernel's own greetings to neighbours are nobody's attempt.
        _ip("netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        _ip("netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
        _ip(*inside, "link", "set", "beyond", "up")
        _ip(*inside, "link", "set", "away", "up", "arp", "off")
        _ip(*inside, "address", "add", f"{AWAY}.2/24", "dev", "away")
        _ip(*inside, "route", "add", "default", "via", f"{AWAY}.1")
        yield Namespace(name, {**os.environ, "HEARTH_HOME": str(tmp_path / "home"), "COLUMNS": "110"})


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, timeout=20)


def test_not_one_packet_tries_to_leave(namespace: Namespace) -> None:
    port, grpc_port = free_ports(2)
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    try:
        up = namespace.hearth("up", "--yes", *ports, "--json")
        assert up.returncode == 0, up.stdout + up.stderr
        turn = namespace.run(sys.executable, "-c", TURN, f"http://127.0.0.1:{port}/v1")
        assert turn.returncode == 0, turn.stderr
        assert len(turn.stdout.strip()) > 0
    finally:
        down = namespace.hearth("down")
    assert down.returncode == 0, down.stderr
    assert namespace.num_sent() == 0


def test_an_attempt_is_counted(namespace: Namespace) -> None:
    ask = "import socket\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError: pass"
    assert namespace.num_sent() == 0
    namespace.run(sys.executable, "-c", ask)
    assert namespace.num_sent() > 0
