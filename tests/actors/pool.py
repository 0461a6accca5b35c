"""A pool of real processes as a test sees it: its view, its fronts, its processes, and clients of it."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from openai import AsyncOpenAI

from cluster.config import HearthConfig
from cluster.pool import launch
from cluster.pool.paths import PoolPaths
from cluster.pool.processes import Listener, find_processes, listeners
from cluster.pool.state import PoolState, Stage

START_S = 90.0
ENGINE = '"name": "tiny"'
"""In the command line of that model's engine, and of nothing else."""

Found = TypeVar("Found")


@dataclass
class Pool:
    """Started by `start_pool`.  `loading`: what the view told while its models loaded, each word once."""

    paths: PoolPaths
    state: PoolState
    supervisor: "subprocess.Popen[bytes]"
    http: httpx.Client
    loading: list[dict[str, Any]]

    @property
    def url(self) -> str:
        return self.state.http_url

    @property
    def is_running(self) -> bool:
        return launch.running_pool(self.paths) is not None

    def view(self) -> dict[str, Any]:
        answer = self.http.get("/api/view")
        answer.raise_for_status()
        return answer.json()

    def model(self, name: str) -> dict[str, Any]:
        return next(model for model in self.view()["models"] if model["model"] == name)

    def replicas(self, model: str) -> list[dict[str, Any]]:
        return [replica for replica in self.view()["replicas"] if replica["model"] == model]

    def processes(self, title: str = "") -> list[psutil.Process]:
        """The pool's processes whose command line has `title` in it."""
        found = find_processes(self.paths.pool_id, self.state.pid, self.state.created_s)
        return [process for process in found if title in _command(process)]

    def process(self, title: str) -> psutil.Process:
        (process,) = self.processes(title)
        return process

    def kill(self, title: str) -> psutil.Process:
        process = self.process(title)
        os.kill(process.pid, signal.SIGKILL)
        return process

    def listeners(self) -> list[Listener]:
        return listeners(self.processes())

    def front(self, model: str) -> "Front":
        """The front of the model's only replica, found by what it answers."""
        replica = self.process(f"ServeReplica:{model}:")
        for listener in listeners([replica]):
            front = Front(f"http://127.0.0.1:{listener.port}")
            if front.answers():
                return front
        raise AssertionError(f"{model} has no front")

    def openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0, timeout=60)

    def end(self) -> None:
        end(self.paths, self.supervisor)
        self.http.close()


@dataclass(frozen=True)
class Front:
    endpoint: str

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint}/health", timeout=2.0).status_code == 200
        except httpx.HTTPError:
            return False

    def book(self) -> dict[str, int]:
        return httpx.get(f"{self.endpoint}/leases", timeout=5.0).json()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def start_pool(home: Path, config: HearthConfig, awaited: Collection[str]) -> Pool:
    """A pool whose models named in `awaited` are ready."""
    paths, loading = PoolPaths(home), list[dict[str, Any]]()
    http = httpx.Client(base_url=f"http://127.0.0.1:{config.gateway.http_port}", timeout=10.0)
    supervisor = launch.spawn_supervisor(paths, config)

    def look(_: Stage) -> None:
        _look(http, loading)

    try:
        state = launch.wait_until_started(paths, supervisor.pid, START_S, look)
        until(lambda: _have_loaded(awaited, _look(http, loading)), START_S)
        return Pool(paths, state, supervisor, http, loading)
    except BaseException:
        end(paths, supervisor)
        http.close()
        raise


def _look(http: httpx.Client, loading: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The view, if it can be had; what it tells of loading is added."""
    try:
        answer = http.get("/api/view")
    except httpx.TransportError:
        return None
    if answer.status_code != 200:
        return None
    loading += [status for status in answer.json()["loading"] if status not in loading]
    return answer.json()


def _have_loaded(awaited: Collection[str], view: dict[str, Any] | None) -> bool:
    ready = {model["model"] for model in view["models"] if model["state"] == "ready"} if view else set()
    return ready >= set(awaited)


def end(paths: PoolPaths, supervisor: "subprocess.Popen[bytes]") -> None:
    launch.ask_to_end(paths)
    launch.clean_up(paths)
    supervisor.wait(10.0)


def until(look: Callable[[], Found | None], timeout_s: float = 20.0, every_s: float = 0.05) -> Found:
    """What `look` finds, as soon as that is something."""
    end = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {timeout_s} s"
        time.sleep(every_s)
    return found


async def soon(look: Callable[[], Found | None], timeout_s: float = 20.0) -> Found:
    """`until`, while streams go on."""
    return await asyncio.to_thread(lambda: until(look, timeout_s))
