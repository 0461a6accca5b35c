"""A llama.cpp server as a person starts it by hand: a process of its own, on a port, before the pool."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from cluster.deployments.child import PARENT_ENV
from cluster.deployments.llamacpp_settings import Settings
from tests.support.tiny_gguf import tiny_gguf

START_S = 30.0


class ByHand:
    """Listens as soon as it is made.  Its only model is `by-hand`."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        settings = Settings(
            model=str(tiny_gguf()),
            name="by-hand",
            address="127.0.0.1",
            port=port,
            context_tokens=2048,
            num_slots=2,
            batch_tokens=128,
            kv_type="f16",
            threads=1,
            save_path=f"{folder}/",
        )
        argv = [sys.executable, "-m", "cluster.deployments.llamacpp_child", settings.to_argument()]
        environment = {**os.environ, PARENT_ENV: str(os.getpid())}
        self._process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                httpx.get(f"{self.url}/models", timeout=1.0).raise_for_status()
                return
            except httpx.HTTPError:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.end()
                    raise
                time.sleep(0.05)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10.0)
