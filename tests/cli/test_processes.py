"""Whatever a supervisor started is found after its death, ended, and nothing else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from subprocess import PIPE

import psutil
import pytest

from cluster.pool.processes import (
    POOL_ENV,
    end_processes,
    find_processes,
    find_supervisor,
    is_loopback,
    leaves_first,
    listeners,
)

# A leader, a child in a process group of its own, and its child: as supervisor, Ray's worker and engine are.
CHILD = (
    "import signal, subprocess, sys;"
    "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
)
TREE = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {CHILD + "; print(p.pid, flush=True); signal.pause()"!r}],
                         process_group=0, stdout=subprocess.PIPE, text=True)
print(os.getpid(), child.pid, child.stdout.readline().strip(), flush=True)
signal.pause()
"""


@pytest.fixture
def tree() -> Iterator[list[int]]:
    """The pids of leader, child and grandchild."""
    env = {key: value for key, value in os.environ.items() if key != POOL_ENV}
    with subprocess.Popen(
        [sys.executable, "-c", TREE], stdout=PIPE, text=True, start_new_session=True, env=env
    ) as leader:
        assert leader.stdout is not None
        pids = [int(pid) for pid in leader.stdout.readline().split()]
        yield pids
        for pid in pids:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_session_outlives_its_leader_and_is_ended_leaves_first(tree: list[int]) -> None:
    leader, child, grandchild = tree
    created = psutil.Process(leader).create_time()
    assert {p.pid for p in find_processes("nobody", leader, created)} == set(tree)
    os.kill(leader, signal.SIGKILL)
    psutil.Process(leader).wait(timeout=5.0)
    left = find_processes("nobody", leader, created)
    assert [process.pid for process in left] == [grandchild, child]
    assert end_processes(left, grace_s=5.0) == []
    assert find_processes("nobody", leader, created) == []


def test_a_session_that_only_shares_the_number_is_not_touched(tree: list[int]) -> None:
    later = psutil.Process(tree[0]).create_time() + 3600.0
    assert find_processes("nobody", tree[0], later) == []
    assert find_supervisor(tree[0], later) is None
    assert find_supervisor(tree[0], later - 3600.0) is not None


def test_without_a_session_the_marker_finds_what_is_left() -> None:
    code = "print(flush=True); import signal; signal.pause()"
    env = {**os.environ, POOL_ENV: "pool-of-a-test"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=PIPE, env=env) as marked:
        assert marked.stdout is not None
        marked.stdout.readline()
        found = find_processes("pool-of-a-test", None)
        assert [process.pid for process in found] == [marked.pid]
        end_processes(found, grace_s=5.0)


def test_a_process_that_ignores_being_asked_is_killed() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=PIPE) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        assert end_processes([psutil.Process(deaf.pid)], grace_s=0.2) == []
        assert not psutil.pid_exists(deaf.pid)


def test_a_child_comes_before_its_parent(tree: list[int]) -> None:
    ordered = leaves_first([psutil.Process(pid) for pid in tree])
    assert [process.pid for process in ordered] == tree[::-1]


def test_listeners_tell_where_a_process_can_be_reached() -> None:
    code = (
        "import signal; from socket import create_server;"
        "a = create_server(('127.0.0.1', 0)); b = create_server(('', 0));"
        "print(a.getsockname()[1], b.getsockname()[1], flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=PIPE, text=True) as server:
        assert server.stdout is not None
        inner, outer = (int(port) for port in server.stdout.readline().split())
        found = {socket.port: is_loopback(socket.host) for socket in listeners([psutil.Process(server.pid)])}
        server.kill()
    assert found == {inner: True, outer: False}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "fe80::1", "::ffff:10.0.0.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
