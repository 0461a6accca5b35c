"""Starting and ending the supervisor from outside: what `hearth up` and `hearth down` do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cluster.config import HearthConfig
from cluster.pool.paths import PoolPaths
from cluster.pool.processes import end_processes, find_processes, find_supervisor
from cluster.pool.ray_head import make_token, ray_environment
from cluster.pool.state import PoolState, Stage, read_state, write_private
from cluster.pool.supervisor import clear_ray_folder

SUPERVISOR = ("-m", "actors")
"""The module that composes the pool and supervises it."""

LEFT_OVER_GRACE_S = 2.0
DRAIN_S = 45.0
POLL_S = 0.1


class StartFailed(Exception):
    """The pool did not start; nothing of it is left."""

    def __init__(self, problem: str, log: Path) -> None:
        super().__init__(problem, log)
        self.problem, self.log = problem, log

    def __str__(self) -> str:
        return f"The pool did not start: {self.problem} The log is {self.log} (`hearth logs supervisor`)."


def running_pool(paths: PoolPaths) -> PoolState | None:
    """The pool whose supervisor lives, at whatever stage; None where there is none."""
    state = read_state(paths.state)
    return state if state and find_supervisor(state.pid, state.created_s) else None


def spawn_supervisor(paths: PoolPaths, config: HearthConfig) -> subprocess.Popen[bytes]:
    """Starts the supervisor in a session of its own.  The caller holds the pool's lock."""
    paths.make()
    make_token(paths)
    write_private(paths.config, config.model_dump_json(indent=1))
    paths.state.unlink(missing_ok=True)
    if paths.supervisor_log.exists():
        paths.supervisor_log.replace(paths.supervisor_log.with_suffix(".log.1"))
    log = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-u", *SUPERVISOR],
            env=ray_environment(paths, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def wait_until_started(
    paths: PoolPaths, pid: int, timeout_s: float, on_stage: Callable[[Stage], None]
) -> PoolState:
    """Waits for RUNNING and names each stage on the way.  Raises StartFailed."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        lives = _lives(pid)  # asked before the file is read: the file of a dead one is final
        state = read_state(paths.state)
        if state and state.pid == pid:
            on_stage(state.stage)
            if state.stage is Stage.RUNNING:
                return state
        if not lives:
            problem = state.problem if state and state.problem else "its supervisor ended."
            raise StartFailed(problem, paths.supervisor_log)
        time.sleep(POLL_S)
    raise StartFailed(f"it took longer than {timeout_s:.0f} s.", paths.supervisor_log)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ask_to_end(paths: PoolPaths) -> bool:
    """Sends the supervisor SIGTERM and waits until it has drained and gone.  False: there was none, or it
    hangs."""
    state = read_state(paths.state)
    supervisor = find_supervisor(state.pid, state.created_s) if state else None
    if supervisor is None:
        return False
    end_processes([supervisor], DRAIN_S)
    return True


def clean_up(paths: PoolPaths) -> int:
    """Ends what a supervisor that is gone left behind, and removes its files.  Returns how many processes
    there were.  The caller holds the pool's lock."""
    state = read_state(paths.state)
    session, since_s = (state.pid, state.created_s) if state else (None, 0.0)
    left = find_processes(paths.pool_id, session, since_s)
    end_processes(left, LEFT_OVER_GRACE_S)
    if paths.ray.exists():
        clear_ray_folder(paths)
    for file in (paths.state, paths.token, paths.config):
        file.unlink(missing_ok=True)
    return len(left)
