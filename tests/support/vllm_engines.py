"""A real vLLM on small models, and what tests ask of it."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import psutil

from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.engine import Engine
from cluster.deployments.gang import LocalHost, LocalRank, RankCommand
from cluster.deployments.vllm import VllmEngine

SERVER, CORE, LAST_WORKER = "deployments.vllm_rank", "VLLM::EngineCore", "VLLM::Worker_TP1"
START_S = 280.0


class WatchedHost(LocalHost):
    """`seen`: its ranks and all below them, as long as somebody looked while they lived."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[psutil.Process] = set()
        self.has_started = asyncio.Event()

    def look(self) -> None:
        for rank in self.ranks:
            if psutil.pid_exists(rank.pid):
                process = psutil.Process(rank.pid)
                self.seen |= {process, *process.children(recursive=True)}

    async def start(self, command: RankCommand) -> LocalRank:
        rank = await super().start(command)
        self.has_started.set()
        stop = rank.stop

        async def look_and_stop(grace_s: float = 5.0) -> None:
            self.look()
            await stop(grace_s)

        rank.stop = look_and_stop
        return rank


def vllm_of(folder: Path, num_ranks: int = 1, **chosen: object) -> VllmEngine:
    """f32 is the exact kind: no rounding that depends on how a layer is cut."""
    body = {"name": "tiny", "engine": "vllm", "source": str(folder), "kv_type": "f32", "slots": 4, **chosen}
    shard = Shard(NodeId("here"), 4 * 2**30, num_ranks)
    layout = Layout(EngineKind.VLLM, str(folder), (shard,), 8192, 4096, tensor_parallel=num_ranks)
    return VllmEngine(ModelConfig.model_validate(body), layout, [WatchedHost()] * num_ranks)


def host_of(engine: Engine) -> WatchedHost:
    return cast(WatchedHost, cast(VllmEngine, engine)._process.hosts[0])


def processes(engine: Engine) -> list[psutil.Process]:
    """The whole gang, as far as it lives."""
    host_of(engine).look()
    return [one for one in host_of(engine).seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def kill(engine: Engine, name: str) -> None:
    (process,) = [one for one in processes(engine) if name in " ".join(one.cmdline())]
    os.kill(process.pid, signal.SIGKILL)


def shared_files(engine: Engine) -> set[Path]:
    """What the gang keeps in shared memory."""
    maps = [part.path for one in processes(engine) for part in one.memory_maps()]
    return {Path(path) for path in maps if path.startswith("/dev/shm/")}


def leftovers(engine: Engine) -> Sequence[str]:
    folder = cast(VllmEngine, engine)._process._folder
    left = [*map(str, processes(engine))]
    return [*left, str(folder)] if folder is not None and folder.exists() else left


async def num_running(engine: Engine) -> int:
    return (await cast(VllmEngine, engine)._server.metrics()).num_running
