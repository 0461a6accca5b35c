"""The process that owns a pool: it starts Ray and what runs on it, waits, and ends all of it.

    STARTING_RAY -> STARTING_POOL -> RUNNING -> STOPPING -> (state file gone)
          └──────────────┴─────────────┴──> FAILED, with the problem, until the next `up` or `down`

SIGTERM and SIGINT ask for the end at any stage.
"""

import json
import os
import re
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import psutil

from cluster.config import HearthConfig, parse
from cluster.inventory.node import node_id
from cluster.pool.paths import PoolPaths, pool_paths
from cluster.pool.processes import end_processes, find_processes
from cluster.pool.ray_head import start_ray, stop_ray
from cluster.pool.state import PoolState, Stage, write_state

StopPool = Callable[[], None]
StartPool = Callable[[HearthConfig], StopPool]
"""Starts everything that runs on Ray, once Ray is there; what it returns drains it."""

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
RAY_PROCESSES = ("gcs_server", "raylet")
CHILD_GRACE_S = 5.0


class _Stop(BaseException):
    """Someone asked for the end."""


def supervise(start_pool: StartPool) -> int:
    """Runs the pool until it is told to end or Ray is lost.  Returns the exit status."""
    paths = pool_paths()
    config = parse(json.loads(paths.config.read_text()), str(paths.config))
    supervisor = _Supervisor(paths, config)
    try:
        supervisor.run(start_pool)
        return 0
    except (_Stop, SystemExit):  # Ray answers SIGTERM with SystemExit while it starts
        return 0
    except Exception as fault:  # noqa: BLE001 - the one place where a failed start becomes words
        traceback.print_exc()
        supervisor.problem = in_words(fault)
        return 1
    finally:
        supervisor.end()


def in_words(fault: Exception) -> str:
    """The last line of what an exception says: Ray puts the cause there, below the actor's traceback."""
    lines = [line.strip() for line in COLOURS.sub("", str(fault)).splitlines() if line.strip()]
    return lines[-1] if lines else type(fault).__name__


class _Supervisor:
    def __init__(self, paths: PoolPaths, config: HearthConfig) -> None:
        self._paths, self._config = paths, config
        self._stop_pool: StopPool | None = None
        self.problem = ""
        ports = config.gateway
        created = psutil.Process().create_time()
        self._state = PoolState(
            os.getpid(), created, time.time(), Stage.STARTING_RAY, ports.http_port, ports.grpc_port
        )

    def run(self, start_pool: StartPool) -> None:
        _on_signals(_raise_stop)
        self._tell(Stage.STARTING_RAY)
        address = start_ray(self._paths, node_id(self._paths.home), self._config.node)
        _on_signals(_raise_stop)  # Ray has put its own handlers in place
        self._state = replace(self._state, ray_address=address)
        self._tell(Stage.STARTING_POOL)
        self._stop_pool = start_pool(self._config)
        self._tell(Stage.RUNNING)
        self._watch_ray()

    def _watch_ray(self) -> None:
        children = psutil.Process().children(recursive=True)
        watched = {process.name(): process for process in children if process.name() in RAY_PROCESSES}
        while True:
            for name, process in watched.items():
                if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                    raise RuntimeError(f"{name} of Ray has ended: its log is in {self._paths.kept_ray_logs}")
            time.sleep(0.5)

    def _tell(self, stage: Stage) -> None:
        self._state = replace(self._state, stage=stage, problem=self.problem)
        write_state(self._paths.state, self._state)

    def end(self) -> None:
        """Ends everything below this process and leaves a state file only if there is a problem to tell."""
        _on_signals(signal.SIG_IGN)
        self._tell(Stage.STOPPING)
        for name, step in self._steps():
            with _reported(name):
                step()
        if self.problem:
            self._tell(Stage.FAILED)
        else:
            self._paths.state.unlink(missing_ok=True)

    def _steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if self._stop_pool is not None:
            yield "draining the pool", self._stop_pool
        yield "stopping Ray", stop_ray
        yield "ending what is left", self._end_children
        yield "keeping Ray's logs", lambda: clear_ray_folder(self._paths)

    def _end_children(self) -> None:
        left = find_processes(self._paths.pool_id, os.getpid(), self._state.created_s)
        end_processes(left, CHILD_GRACE_S)


def clear_ray_folder(paths: PoolPaths) -> None:
    """Removes the sockets and the session of a run that has ended; its logs move to where they are kept."""
    if paths.ray_logs.is_dir():
        shutil.rmtree(paths.kept_ray_logs, ignore_errors=True)
        shutil.copytree(paths.ray_logs, paths.kept_ray_logs, symlinks=True)
    paths.clear_ray()


@contextmanager
def _reported(step: str) -> Generator[None]:
    """No failed step may keep the later ones from running."""
    try:
        yield
    except Exception:  # noqa: BLE001
        print(f"while {step}:")
        traceback.print_exc()


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise _Stop


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)
