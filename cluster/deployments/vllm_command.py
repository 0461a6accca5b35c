"""What each process of a vLLM gang is told: arguments and environment.  Pure.

All ranks of a node are one process there, which spawns its workers itself.  The first serves HTTP on a Unix
socket; the others follow it over `port` of its address.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.deployments.gang import RankCommand

CPU_BLOCK_TOKENS = 32
"""The smallest that vLLM's attention takes on a CPU."""

CPU_BATCH_TOKENS = 512
"""Prompt tokens computed between two looks at who went away; cards keep vLLM's own number."""

IN_THE_CORE = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""One rank computes in the engine core itself.  vLLM's word for it, `uni`, makes a worker process of it on a
CPU, for which the core then waits spinning: a whole core that computes nothing.  Our threads are set before
either starts."""

LOOPBACK = "127.0.0.1"

_FORMS = {"backend": "guidance", "disable_any_whitespace": True}
"""As llama.cpp does it: without white space that nobody asked for, of which small models write no end."""


@dataclass(frozen=True, slots=True)
class Place:
    """One process: where it runs, and its private folder there for sockets and scratch files."""

    address: str
    folder: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the processes are told.

    `model`: the folder of its files on the first node; the others find theirs by `source`.  `kv_bytes`: KV
    memory of each rank.  `num_ranks`: on each node.  `threads`: of each rank; None: its node's cores,
    shared.  `exact`: in f32.
    """

    model: str
    source: str
    name: str
    socket: str
    tensor_parallel: int
    pipeline_parallel: int
    num_ranks: int
    window_tokens: int
    num_slots: int
    kv_bytes: int
    on_cards: bool = False
    exact: bool = False
    embeds: bool = False
    threads: int | None = None


def commands(plan: Plan, places: Sequence[Place], port: int) -> tuple[RankCommand, ...]:
    """One for each place.  `port` is free at the first place's address."""
    return tuple(
        RankCommand(
            (
                sys.executable,
                "-m",
                "cluster.deployments.vllm_rank",
                *("--model", plan.model if node == 0 else plan.source),
                *_arguments(plan),
                *_meeting(places, node, port),
            ),
            _environment(plan, place.folder, address, is_found=node == 0),
        )
        for node, (place, address) in enumerate(zip(places, _addresses(places), strict=True))
    )


def _addresses(places: Sequence[Place]) -> Sequence[str]:
    """Where the ranks of each place listen for other ranks: alone on a node, for nobody beyond it."""
    return [LOOPBACK] if len(places) == 1 else [place.address for place in places]


def _arguments(plan: Plan) -> list[str]:
    arguments = ["--served-model-name", plan.name, "--uds", plan.socket]
    arguments += ["--tensor-parallel-size", str(plan.tensor_parallel)]
    arguments += ["--pipeline-parallel-size", str(plan.pipeline_parallel)]
    arguments += ["--max-model-len", str(plan.window_tokens), "--max-num-seqs", str(plan.num_slots)]
    arguments += ["--kv-cache-memory-bytes", str(plan.kv_bytes)]
    arguments += ["--structured-outputs-config", json.dumps(_FORMS)]
    arguments += ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    if not plan.on_cards:
        arguments += ["--enforce-eager", "--block-size", str(CPU_BLOCK_TOKENS)]
        # A text to embed is one batch, however long it is.
        longest = plan.window_tokens if plan.embeds else 0
        arguments += ["--max-num-batched-tokens", str(max(CPU_BATCH_TOKENS, plan.num_slots, longest))]
        if plan.tensor_parallel * plan.pipeline_parallel == 1:
            arguments += ["--distributed-executor-backend", IN_THE_CORE]
    if plan.exact:
        arguments += ["--dtype", "float32"]
    if plan.embeds:
        arguments += ["--runner", "pooling"]
    return arguments


def _meeting(places: Sequence[Place], node: int, port: int) -> list[str]:
    """How the processes of several nodes find each other."""
    if len(places) == 1:
        return []
    meeting = ["--nnodes", str(len(places)), "--node-rank", str(node)]
    meeting += ["--master-addr", places[0].address, "--master-port", str(port)]
    return meeting if node == 0 else [*meeting, "--headless"]


def _environment(plan: Plan, folder: str, address: str, *, is_found: bool) -> Mapping[str, str]:
    """`is_found`: its model is a folder already, so that no hub has to be asked."""
    environment = {
        "VLLM_HOST_IP": address,
        "VLLM_RPC_BASE_PATH": folder,
        "TMPDIR": folder,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if is_found:
        environment["HF_HUB_OFFLINE"] = "1"
    if plan.on_cards:
        return environment
    environment |= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    environment["HEARTH_NUM_RANKS"] = str(plan.num_ranks)
    if plan.threads is not None:
        environment["OMP_NUM_THREADS"] = str(plan.threads)
    return environment
