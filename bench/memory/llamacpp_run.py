"""`python -m bench.memory.llamacpp_run GGUF TOKENS SLOTS KV_TYPE`: loads one model and ends; llama.cpp's log
tells on standard error what it took."""

import importlib
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster.core.footprint import BATCH_TOKENS

LOAD_S = 60.0
LOG_S = 0.5
"""A thread of its own writes the log."""

ALL = 5
"""llama.cpp's most talkative level."""


def main() -> None:
    llama: Any = importlib.import_module("xllamacpp")
    path, tokens, slots, kv_type = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "s.sock"
        params = llama.CommonParams()
        params.model.path, params.hostnames, params.port = path, [str(address)], 0
        params.n_ctx, params.n_parallel = int(tokens), int(slots)
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cache_type_k = params.cache_type_v = getattr(llama.ggml_type, f"GGML_TYPE_{kv_type.upper()}")
        params.kv_unified, params.fit_params, params.ctx_shift, params.ui = True, False, False, False
        params.cache_ram_mib, params.warmup, params.offline, params.verbosity = 0, False, True, ALL
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        _server = llama.Server(params)
        _wait(address)
        time.sleep(LOG_S)
    # Its destructor may wait for clients that nobody is.
    os._exit(0)


def _wait(address: Path) -> None:
    """Until the model is loaded.  It listens before, and says then that it is not ready."""
    until = time.monotonic() + LOAD_S
    while not _is_loaded(address):
        if time.monotonic() > until:
            sys.exit(f"not loaded within {LOAD_S:.0f} s")
        time.sleep(0.05)


def _is_loaded(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(str(address)) != 0:
            return False
        client.settimeout(LOAD_S)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return client.recv(64).startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    main()
