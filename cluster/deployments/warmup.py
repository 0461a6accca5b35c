"""Starts a llama.cpp and measures it: the first turn is ours, not a person's.

A turn that is cancelled while its prompt is computed goes on to the end of its batch.  So where the
measurement shows that a batch takes over a second, the engine is started again with smaller ones.
"""

import os
from collections.abc import Callable

import psutil

from cluster.config import ModelConfig
from cluster.core.events import Speed
from cluster.core.footprint import BATCH_TOKENS
from cluster.deployments.engine import EngineFault, Loading
from cluster.deployments.llamacpp_model import Model
from cluster.deployments.llamacpp_process import LlamaProcess
from cluster.deployments.llamacpp_server import LlamaServer, Refused
from cluster.deployments.llamacpp_settings import Settings

MAX_BATCH_S = 1.0
MIN_BATCH_TOKENS = 32
DECODE_TOKENS = 16
SMALL_MODEL_BYTES = 64 * 2**20
"""Below this, threads wait for each other longer than they compute."""


async def start_and_measure(
    process: LlamaProcess, model: Model, config: ModelConfig, progress: Callable[[Loading], None]
) -> Speed:
    """Raises EngineFault."""
    speed = await _start(process, model, config, model.batch_tokens, progress)
    fitting = fitting_batch(speed.prefill_tps)
    # A text to embed is one batch, however long that takes.
    if model.pooling is None and fitting < BATCH_TOKENS:
        progress(Loading(f"starting again with batches of {fitting} tokens"))
        await process.stop()
        speed = await _start(process, model, config, fitting, progress)
    return speed


def fitting_batch(prefill_tps: float) -> int:
    """The largest power of two of tokens that takes no more than MAX_BATCH_S."""
    batch = BATCH_TOKENS
    while batch > MIN_BATCH_TOKENS and batch > prefill_tps * MAX_BATCH_S:
        batch //= 2
    return batch


async def _start(
    process: LlamaProcess,
    model: Model,
    config: ModelConfig,
    batch_tokens: int,
    progress: Callable[[Loading], None],
) -> Speed:
    progress(Loading(f"loading {model.paths[0].name}"))
    await process.start(_settings(process, model, config, batch_tokens), config.load_timeout_s)
    progress(Loading("warming up"))
    try:
        return await _measure(process.server, model.plan.window_tokens)
    except Refused as fault:
        raise EngineFault(
            f"{model.paths[0].name} loads, but computes nothing: {fault}.", "Try another GGUF of this model."
        ) from fault


def _settings(process: LlamaProcess, model: Model, config: ModelConfig, batch_tokens: int) -> Settings:
    folder = process.new_folder()
    return Settings(
        model=str(model.paths[0]),
        name=config.name,
        address=str(folder / "engine.sock"),
        context_tokens=model.plan.kv_tokens,
        num_slots=model.plan.num_slots,
        num_checkpoints=model.plan.num_checkpoints,
        batch_tokens=batch_tokens,
        kv_type=config.kv_type,
        threads=config.threads or _threads(model.plan.weights_bytes),
        save_path=f"{folder}/",
        gpu_layers=config.gpu_layers,
        pooling=model.pooling,
        # Who pays for f32 wants answers that do not depend on how tokens were batched.
        exact=config.kv_type == "f32",
    )


def _threads(weights_bytes: int) -> int:
    if weights_bytes < SMALL_MODEL_BYTES:
        return 1
    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


async def _measure(server: LlamaServer, window_tokens: int) -> Speed:
    """A prompt of one whole batch, where the window allows, and a few tokens of answer."""
    num_tokens = min(BATCH_TOKENS, window_tokens - DECODE_TOKENS - 1)
    text = await server.tokenize("The quick brown fox jumps over the lazy dog. ", parse_special=False)
    prompt = (text * (num_tokens // len(text) + 1))[:num_tokens]
    body = {"n_predict": DECODE_TOKENS, "ignore_eos": True, "id_slot": 0, "cache_prompt": False}
    timings = (await server.complete({**body, "prompt": list(prompt)}))["timings"]
    await server.erase(0)
    return Speed(timings["prompt_per_second"], timings["predicted_per_second"])
