"""The life of the child process: its folder, its socket, its start and its end."""

import asyncio
import sys
from pathlib import Path

from cluster.deployments import folders
from cluster.deployments.child import Child, spawn
from cluster.deployments.engine import EngineFault
from cluster.deployments.llamacpp_server import LlamaServer
from cluster.deployments.llamacpp_settings import Settings


class LlamaProcess:
    """One child at a time.  Its folder, for this user alone, holds the socket and what is saved."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._child: Child | None = None
        self._server: LlamaServer | None = None

    @property
    def server(self) -> LlamaServer:
        assert self._server is not None, "start the engine first"
        return self._server

    def new_folder(self) -> Path:
        """Where the next child is to have its socket."""
        self._folder = folders.new()
        return self._folder

    async def start(self, settings: Settings, timeout_s: float) -> None:
        """Returns when the model is loaded.  Raises EngineFault with the child's last words."""
        argv = [sys.executable, "-m", "cluster.deployments.llamacpp_child", settings.to_argument()]
        self._child = await spawn(argv)
        self._server = LlamaServer(Path(settings.address))
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._server.is_loaded():
                    self._check_alive(settings.model)
                    await asyncio.sleep(0.05)
        except TimeoutError as fault:
            raise EngineFault(
                f"{settings.model} did not load within {timeout_s:.0f} s. llama.cpp's last lines:\n"
                f"{self._child.tail}\n",
                "Try a smaller model, or raise `load_timeout_s`.",
            ) from fault

    def _check_alive(self, model: str) -> None:
        if self._child is not None and self._child.returncode is not None:
            words = self._child.tail or f"exit status {self._child.returncode}"
            raise EngineFault(
                f"llama.cpp could not load {model}: {words}",
                "Check that this version of llama.cpp knows the model, and that its file is whole.",
            )

    async def died(self) -> str:
        """Returns when the child has ended, with what it said last."""
        assert self._child is not None, "start the engine first"
        status = await self._child.wait()
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        last = self._child.tail.rpartition("\n")[2]
        return f"llama.cpp ended with {ended}{': ' if last else ''}{last}"

    async def stop(self) -> None:
        """Ends the child and removes its folder; in any state, and twice."""
        if self._server is not None:
            await self._server.close()
        if self._child is not None:
            await self._child.stop()
        if self._folder is not None:
            await asyncio.to_thread(folders.remove, self._folder)
