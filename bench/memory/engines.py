"""What the estimator says of small models of each kind, and what engines here say that they took."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.harness.record import Row
from bench.memory.gguf_kinds import KINDS, write
from cluster.config import ModelConfig
from cluster.core.footprint import BATCH_TOKENS
from cluster.deployments import gguf_file, sizing

RUN_S = 240.0
TOKENS, SLOTS = 16_384, 4
FREE_BYTES = 2**32
MIB = 2**20

_SIZE = re.compile(r"(KV|RS|model|compute|output) buffer size = +([\d.]+) MiB")
MODULES = {"llamacpp": "xllamacpp", "mlx": "mlx_lm"}
NOT_RUN = {
    "vllm": "not run by this bench; once it is loaded its own capacity is shown beside what was planned"
}


def engine_rows(engines: Sequence[str]) -> Iterator[Row]:
    """One engine after the other, each model in a process of its own or each engine in one."""
    for engine in (*MODULES, *NOT_RUN):
        why = NOT_RUN.get(engine) or _why_not(engine, engines)
        if why:
            yield {"kind": "skipped", "engine": engine, "why": why}
        else:
            yield from _llamacpp() if engine == "llamacpp" else _mlx()


def _why_not(engine: str, wanted: Sequence[str]) -> str:
    if engine not in wanted:
        return "not asked for"
    return "" if find_spec(MODULES[engine]) else "not installed here"


def _mlx() -> Iterator[Row]:
    for line in _run("bench.memory.mlx_run").stdout.splitlines():
        told = json.loads(line)
        total_bytes = told.pop("weights_planned_bytes") + told["kv_planned_bytes"]
        yield {"kind": "engine", "engine": "mlx", "total_planned_bytes": total_bytes, **told, "step_bytes": 1}


def _llamacpp() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in KINDS.items():
            path = write(Path(folder) / "model.gguf", kind)
            for kv_type in ("f16", "q8_0"):
                yield {"kind": "engine", "engine": "llamacpp", "memory_kind": f"{name}, {kv_type}"} | _one(
                    path, kv_type
                )


def _one(path: Path, kv_type: str) -> Row:
    """llama.cpp's log has MiB with two decimals: what it says is so many bytes to half of the last one."""
    body = {"name": "m", "source": str(path), "context_tokens": TOKENS, "slots": SLOTS, "kv_type": kv_type}
    file, config = gguf_file.read(path), ModelConfig.model_validate(body)
    plan = sizing.plan(file, file.num_bytes, FREE_BYTES, config, BATCH_TOKENS)
    done = _run("bench.memory.llamacpp_run", str(path), str(TOKENS), str(SLOTS), kv_type)
    told = dict.fromkeys(("KV", "RS", "model", "compute", "output"), 0.0)
    for part, mib in _SIZE.findall(done.stderr):
        told[part] += float(mib)
    if not told["model"] or not told["KV"]:
        sys.exit(f"llama.cpp's log does not tell what {path.name} took:\n{done.stderr[-2000:]}")
    kv_bytes = round((told["KV"] + told["RS"]) * MIB)
    buffers_bytes = sizing.fixed_compute_bytes(file, BATCH_TOKENS) + TOKENS * BATCH_TOKENS * 4
    return {
        "kv_planned_bytes": plan.kv_bytes,
        "kv_told_bytes": kv_bytes,
        "total_planned_bytes": plan.weights_bytes + plan.kv_bytes,
        "total_told_bytes": kv_bytes + round(told["model"] * MIB),
        "buffers_planned_bytes": buffers_bytes,
        "buffers_told_bytes": round((told["compute"] + told["output"]) * MIB),
        "step_bytes": MIB // 100,
    }


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=RUN_S, check=True)
