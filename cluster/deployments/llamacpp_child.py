"""The child process of a llama.cpp replica: llama.cpp's own server on a Unix socket, and nothing else.

A process of its own, because loading holds the GIL and because a crash must end the engine alone.
"""

import importlib
import signal
import sys
from typing import Any

from cluster.deployments.child import follow_parent
from cluster.deployments.llamacpp_settings import Settings

_LLAMA: Any = importlib.import_module("xllamacpp")  # compiled, without types


def main() -> None:
    follow_parent()
    settings = Settings.from_argument(sys.argv[1])
    server = _serve(settings)
    signal.pause()
    del server


def _serve(settings: Settings) -> object:
    params = _LLAMA.CommonParams()
    params.model.path = settings.model
    params.model_alias = {settings.name}
    params.hostnames = [settings.address]
    params.port = settings.port
    _set_memory(params, settings)
    _set_service(params, settings)
    params.n_gpu_layers = -1 if settings.gpu_layers is None else settings.gpu_layers
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    flash = _LLAMA.llama_flash_attn_type
    params.flash_attn_type = (
        flash.LLAMA_FLASH_ATTN_TYPE_DISABLED if settings.exact else flash.LLAMA_FLASH_ATTN_TYPE_ENABLED
    )
    if settings.pooling is not None:
        params.embedding = True
        params.pooling_type = _LLAMA.llama_pooling_type(settings.pooling)
    return _LLAMA.Server(params)


def _set_memory(params: Any, settings: Settings) -> None:  # noqa: ANN401
    kinds = _LLAMA.ggml_type
    params.cache_type_k = params.cache_type_v = getattr(kinds, f"GGML_TYPE_{settings.kv_type.upper()}")
    params.n_ctx = settings.context_tokens
    params.n_parallel = settings.num_slots
    params.n_batch = params.n_ubatch = settings.batch_tokens
    params.kv_unified = True
    # All memory stands in the plan: no prompts kept aside, no parameters changed behind our back.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.fit_params = False
    params.ctx_shift = False
    params.n_ctx_checkpoints = settings.num_checkpoints


def _set_service(params: Any, settings: Settings) -> None:  # noqa: ANN401
    # Each open stream holds a thread; fewer would starve the server's other answers.
    params.n_threads_http = 4 * settings.num_slots + 16
    params.slot_save_path = settings.save_path
    params.endpoint_slots = params.endpoint_metrics = True
    params.ui = False
    params.offline = True
    params.warmup = False
    params.verbosity = 1
    # A session's slot is our choice alone.
    params.slot_prompt_similarity = 0.0


if __name__ == "__main__":
    main()
