"""However the owner of a lab ends: no process, no interface, no mount and no namespace stays."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.hosts import ROOT, Host, running
from tests.lab.lab import HostWish, Lab, sweep
from tests.lab.processes import INIT, inits, members, namespace

pytestmark = pytest.mark.needs_root
GONE_S = 10.0
NAME = f"killed-by-{os.getpid()}"
ORPHAN = "setsid sleep 600 & setsid setsid sleep 600 & exec sleep 600"


def await_that(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GONE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass(frozen=True)
class Traces:
    """What there is on this machine itself."""

    interfaces: str
    mounts: str
    names: tuple[str, ...]

    @staticmethod
    def now() -> "Traces":
        folder = Path("/run/netns")
        return Traces(
            "\n".join(sorted(os.listdir("/sys/class/net"))),
            Path("/proc/self/mountinfo").read_text(),
            tuple(sorted(os.listdir(folder))) if folder.exists() else (),
        )


@dataclass(frozen=True)
class Owner:
    popen: "subprocess.Popen[str]"
    hosts: tuple[Host, ...]

    def handles(self, stack: ExitStack) -> list[int]:
        """A handle on every process of the lab."""
        switch = self.hosts[0].switch_pid
        pids = {switch, *members("pid", namespace(switch, "pid"))}
        for host in self.hosts:
            pids |= {host.pid, *host.pids()}
        handles = [os.pidfd_open(pid) for pid in sorted(pids)]
        for handle in handles:
            stack.callback(os.close, handle)
        return handles

    def namespaces(self) -> set[tuple[str, int]]:
        pids = [self.hosts[0].switch_pid, *(host.pid for host in self.hosts)]
        return {(kind, namespace(pid, kind)) for pid in pids for kind in ("net", "pid", "mnt")}


@pytest.fixture
def owner() -> Iterator[Owner]:
    """Another process with a lab of two hosts, in which processes run that nobody waits for."""
    command = [sys.executable, "-m", "tests.lab", "--name", NAME, "up"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as popen,
        ExitStack() as waiting,
        ExitStack() as stack,
    ):
        stack.callback(popen.kill)
        assert popen.stdout is not None
        for line in popen.stdout:
            if line.startswith("Ctrl-C"):
                break
        hosts = tuple(running(NAME))
        for host in hosts:
            started = host.start("bash", "-c", ORPHAN)
            await_that(lambda host=host: len(host.pids()) >= 3)
            waiting.callback(started.popen.wait, GONE_S)
        yield Owner(popen, hosts)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_owner_that_is_ended_takes_all_along(number: signal.Signals, owner: Owner) -> None:
    before = Traces.now()
    with ExitStack() as stack:
        handles, namespaces = owner.handles(stack), owner.namespaces()
        assert len(handles) >= 1 + 2 * 4
        owner.popen.send_signal(number)
        owner.popen.wait(GONE_S)
        for handle in handles:
            assert select.select([handle], [], [], GONE_S)[0], "a process of the lab lives on"
        # What is dead may wait for its parent for a moment.
        await_that(lambda: not any(members(*each) for each in namespaces))
    assert running(NAME) == []
    assert Traces.now() == before


def test_a_lab_leaves_nothing_on_this_machine_even_while_it_runs() -> None:
    before = Traces.now()
    with Lab(["a"]):
        assert Traces.now() == before


def test_an_exception_ends_the_lab() -> None:
    lab = Lab(["a"])
    with pytest.raises(ZeroDivisionError), lab:
        1 / 0  # noqa: B018 - any exception would do
    assert running(lab.name) == []


def test_a_start_that_fails_half_way_leaves_nothing() -> None:
    too_long_for_an_argument = {"label": "x" * 2**18}
    lab = Lab(["a", HostWish("b", labels=too_long_for_an_argument)])
    with pytest.raises(OSError, match="too long"), lab:
        pass
    assert not [each for each in inits("lab") if each.words[0] == lab.name]


def test_a_lab_whose_owner_is_no_more_is_swept_at_the_next_start() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-IS", str(INIT)]
    with subprocess.Popen(
        [*command, "lab", "stale", str(gone.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as stale:
        assert stale.stdout is not None
        assert stale.stdout.readline() == b"ready\n"
        assert sweep() == 1
        stale.wait(GONE_S)
    assert sweep() == 0
