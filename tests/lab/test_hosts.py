"""What runs in a host finds a machine of its own, and the others on the network."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.lab.hosts import HOME
from tests.lab.lab import HostWish, Lab
from tests.lab.processes import namespace
from tests.lab.tools import LabError

pytestmark = pytest.mark.needs_root
GREETER = """
import socket
listener = socket.create_server(("0.0.0.0", 7000))
print("listening", flush=True)
while True:
    listener.accept()[0].sendall(b"hello from " + socket.gethostname().encode())
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=2) as connection:
    print(connection.recv(100).decode())
"""


@pytest.fixture(scope="module")
def greeter(lab: Lab) -> Iterator[None]:
    """Host b answers on port 7000."""
    with subprocess.Popen(lab["b"].argv("python", "-c", GREETER), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        yield
        process.kill()


@pytest.mark.usefixtures("greeter")
def test_hosts_reach_each_other_by_name_and_address(lab: Lab) -> None:
    for address in ("b", lab["b"].address):
        assert lab["a"].run("python", "-c", ASK, address).stdout == "hello from b\n"


@pytest.mark.usefixtures("greeter")
def test_a_test_reaches_a_host_from_within_the_network_of_another(lab: Lab) -> None:
    with (
        lab["a"].network(),
        socket.create_connection((lab["b"].address, 7000), timeout=5) as connection,
    ):
        assert connection.getsockname()[0] == lab["a"].address
        assert connection.recv(100) == b"hello from b"
    assert namespace(os.getpid(), "net") != namespace(lab["a"].pid, "net")


@pytest.mark.usefixtures("greeter")
def test_a_cable_that_is_pulled_and_put_back(lab: Lab) -> None:
    lab["b"].cut()
    assert lab["a"].run("python", "-c", ASK, "b", check=False).returncode != 0
    lab["b"].join()
    assert lab["a"].run("python", "-c", ASK, "b").stdout == "hello from b\n"


def test_a_link_is_slow_or_the_kernel_is_said_to_lack_netem(lab: Lab) -> None:
    has_netem = lab["a"].run("tc", "qdisc", "add", "dev", "lo", "root", "netem", check=False).returncode == 0
    with nullcontext() if has_netem else pytest.raises(LabError, match="netem"):
        lab["b"].delay(0.05)


def test_folders_names_and_processes_are_its_own(lab: Lab) -> None:
    a, b = lab
    for folder in ("/tmp", "/dev/shm", HOME):
        a.run("touch", f"{folder}/hearth-lab-was-here")
        assert a.path(f"{folder}/hearth-lab-was-here").exists()
        assert not b.path(f"{folder}/hearth-lab-was-here").exists()
        assert not Path(f"{folder}/hearth-lab-was-here").exists()
    assert [host.run("hostname").stdout for host in lab] == ["a\n", "b\n"]
    sleeper = a.start("sleep", "60")
    assert a.pids() == [sleeper.pid]
    assert "sleep" not in b.run("cat", "/proc/2/comm", check=False).stdout
    assert sleeper.stop() < 0
    assert a.pids() == []


def test_a_command_dies_with_the_one_who_waits_for_it(lab: Lab) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab["a"].run("sleep", "60", timeout_s=0.2)
    deadline = time.monotonic() + 10
    while lab["a"].pids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lab["a"].pids() == []


def test_a_host_is_told_its_memory_and_nothing_of_this_machines_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEARTH_SECRET", "x")
    with Lab([HostWish("small", 123456)]) as lab:
        words = lab["small"].run("env").stdout.splitlines()
    assert "HEARTH_MODELS_BYTES=123456" in words
    assert not [word for word in words if "HEARTH_SECRET" in word]


def test_a_host_that_lost_its_power_starts_again_with_nothing(lab: Lab) -> None:
    b = lab["b"]
    b.run("touch", "/tmp/kept")
    sleeper = b.start("sleep", "60")
    b.kill()
    sleeper.popen.wait(10)
    assert lab["a"].run("hostname").stdout == "a\n"
    again = lab.boot("b")
    assert again.address == b.address
    assert again.pids() == []
    assert "kept" not in again.run("ls", "/tmp").stdout.split()  # a clone of this repository may lie there
    assert lab["a"].run("getent", "hosts", "b").stdout.split() == [again.address, "b"]


@pytest.mark.parametrize("names", [["a", "a"], [""], ["much-too-long-a-name"], ["a b"], ["../a"], []])
def test_names_that_no_interface_could_have_are_refused(names: list[str]) -> None:
    with pytest.raises(LabError, match="host"):
        Lab(names)
