"""However a pool ends, nothing of it is left: no process, no port, no socket."""

import os
import signal
import socket

import psutil
import pytest

from cluster.pool import launch
from cluster.pool.state import Stage, read_state
from tests.actors.pool import Pool, until

pytestmark = pytest.mark.timeout(150)


def test_without_its_raylet_the_pool_ends_by_itself_and_says_so(pool: Pool) -> None:
    processes = pool.processes()
    pool.kill("raylet/raylet")
    until(lambda: not pool.is_running, timeout_s=40.0)
    assert [process for process in processes if _runs(process)] == []
    state = read_state(pool.paths.state)
    assert state is not None
    assert state.stage is Stage.FAILED
    assert "raylet" in state.problem
    launch.clean_up(pool.paths)
    _check_nothing_is_left(pool)


def test_a_supervisor_killed_under_running_engines_is_cleaned_up_after(pool: Pool) -> None:
    processes = pool.processes()
    os.kill(pool.state.pid, signal.SIGKILL)
    pool.supervisor.wait(10.0)
    launch.clean_up(pool.paths)
    assert [process for process in processes if _runs(process)] == []
    _check_nothing_is_left(pool)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _check_nothing_is_left(pool: Pool) -> None:
    assert pool.processes() == []
    assert not pool.paths.ray.exists()
    assert not pool.paths.token.exists()
    assert [path for path in pool.paths.home.rglob("*") if path.is_socket()] == []
    for port in (pool.state.http_port, pool.state.grpc_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
