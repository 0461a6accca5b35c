"""Engines whose ranks run one on each host of a lab, and what the contract asks about them."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import psutil

from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.engine import Engine
from cluster.deployments.mlx import MlxEngine
from cluster.deployments.vllm import VllmEngine
from cluster.deployments.vllm_process import VllmProcess
from tests.engines.kit import EngineKit
from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.ranks import LabHost
from tests.support.llama_engines import FIRST_CONTROL

NumRunning = Callable[[Engine], Awaitable[int]]
START_S = 240.0
MEMORY_BYTES = 2 * 2**30
WINDOW_TOKENS = 4096


def layout_over(
    lab: Lab, engine: EngineKind, folder: Path, tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> Layout:
    return Layout(
        engine,
        str(folder),
        tuple(Shard(NodeId(host.name), MEMORY_BYTES) for host in lab),
        4 * WINDOW_TOKENS,
        WINDOW_TOKENS,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
    )


def engine_over(lab: Lab, layout: Layout) -> MlxEngine | VllmEngine:
    """Not started.  f32 is the exact kind: no rounding that depends on how a layer is cut."""
    body = {"name": "small", "engine": layout.engine.value, "kv_type": "f32", "slots": 4}
    config = ModelConfig.model_validate({**body, "source": layout.source})
    kind = {EngineKind.MLX: MlxEngine, EngineKind.VLLM: VllmEngine}[layout.engine]
    return kind(config, layout, [LabHost(host) for host in lab])


def broken(layout: Layout) -> Layout:
    """The same of a model whose files nobody has."""
    return replace(layout, source=str(Path(layout.source).with_name("nothing")))


def kit_over(
    lab: Lab, layout: Layout, twin: Path, crash: tuple[str, str], num_running: NumRunning
) -> EngineKit:
    """`twin`: a GGUF of the same weights.  `crash`: the host and the title of what is killed there."""
    before = frozenset().union(*map(files, lab))

    async def kill_one(_: Engine) -> None:
        kill(lab[crash[0]], crash[1])

    return EngineKit(
        make=lambda: engine_over(lab, layout),
        make_broken=lambda: engine_over(lab, broken(layout)),
        question="What is there, and who was there before the others came?",
        num_running=num_running,
        kill=kill_one,
        leftovers=lambda engine: leftovers(engine, lab, before),
        control_ids=frozenset(range(FIRST_CONTROL, FIRST_CONTROL + 3)),
        control_words=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        num_prefix_tokens=20,
        forgets=layout.engine is EngineKind.MLX,
        start_s=START_S,
        twin=twin,
    )


def kill(host: Host, title: str) -> None:
    """Ends the host's first process whose command line has `title` in it."""
    found = [pid for pid in host.pids() if title in " ".join(psutil.Process(pid).cmdline())]
    os.kill(min(found), signal.SIGKILL)


def files(host: Host) -> frozenset[str]:
    """What it has in its folder for what lasts not long, and in shared memory."""
    return frozenset(str(path) for folder in ("/tmp", "/dev/shm") for path in host.path(folder).iterdir())


def leftovers(engine: Engine, lab: Lab, before: frozenset[str]) -> Sequence[str]:
    """Processes of the engine on its hosts; files that were not there `before`, once nothing runs there."""
    pids = [pid for host in hosts_of(engine) for pid in host.pids()]
    if any(host.pids() for host in lab):
        return [_words_of(pid) for pid in pids]
    return sorted(frozenset().union(*map(files, lab)) - before)


def hosts_of(engine: Engine) -> Sequence[LabHost]:
    process = cast(MlxEngine | VllmEngine, engine)._process
    hosts = process.hosts if isinstance(process, VllmProcess) else process._gang.hosts
    return cast(Sequence[LabHost], hosts)


def _words_of(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline()) or "a process that has ended"
    except psutil.NoSuchProcess:
        return "a process that ends"
