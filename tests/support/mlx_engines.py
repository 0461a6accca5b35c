"""A real MLX on a small model, and what tests ask of it."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.engine import Engine
from cluster.deployments.gang import LocalHost
from cluster.deployments.mlx import MlxEngine
from cluster.wire import JsonObject
from tests.engines.kit import EngineKit
from tests.support.llama_engines import FIRST_CONTROL


def mlx(
    folder: Path,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    *,
    context_tokens: int = 16384,
    window_tokens: int = 4096,
    **chosen: object,
) -> MlxEngine:
    """Not started; each rank on a host of its own, all of them here.  f32: the exact kind."""
    num = tensor_parallel * pipeline_parallel
    body = {"name": "small", "engine": "mlx", "source": str(folder), "kv_type": "f32", "slots": 4}
    layout = Layout(
        EngineKind.MLX,
        str(folder),
        tuple(Shard(NodeId(f"node-{number}"), 2**30) for number in range(num)),
        context_tokens,
        window_tokens,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
    )
    hosts = [LocalHost() for _ in range(num)]
    return MlxEngine(ModelConfig.model_validate(body | chosen), layout, hosts)


@asynccontextmanager
async def started(engine: MlxEngine) -> AsyncGenerator[MlxEngine]:
    try:
        await engine.start(lambda _: None)
        yield engine
    finally:
        await engine.stop()


def pids_of(engine: Engine) -> list[int]:
    """Of the ranks that run, rank 0 first."""
    hosts = cast(MlxEngine, engine)._process._gang.hosts
    return [rank.pid for host in hosts for rank in cast(LocalHost, host).ranks]


async def metrics_of(engine: Engine) -> JsonObject:
    return await cast(MlxEngine, engine)._server.ask("GET", "/metrics")


async def num_running(engine: Engine) -> int:
    return (await metrics_of(engine))["running"]


def leftovers_of(engine: Engine) -> list[str]:
    process = cast(MlxEngine, engine)._process
    folder = process._folder
    found = [f"process {pid}" for pid in pids_of(engine)]
    return found + ([str(folder)] if folder is not None and folder.exists() else [])


def kit_of(
    folder: Path, twin: Path, tensor_parallel: int = 1, pipeline_parallel: int = 1, killed: int = 0
) -> EngineKit:
    """`twin`: a GGUF with the weights of `folder`.  `killed`: the rank that a crash ends."""

    async def kill(engine: Engine) -> None:
        os.kill(pids_of(engine)[killed], signal.SIGKILL)

    return EngineKit(
        make=lambda: mlx(folder, tensor_parallel, pipeline_parallel),
        make_broken=lambda: mlx(folder.with_name("nothing"), tensor_parallel, pipeline_parallel),
        question="What is there?",
        num_running=num_running,
        kill=kill,
        leftovers=leftovers_of,
        control_ids=frozenset(range(FIRST_CONTROL, FIRST_CONTROL + 3)),
        control_words=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        num_prefix_tokens=20,
        twin=twin,
    )
