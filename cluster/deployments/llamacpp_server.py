"""What we ask of a llama.cpp server: one method a question."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from cluster.deployments.engine import EngineLost
from cluster.deployments.engine_http import EngineHttp, Refused
from cluster.wire import JsonObject


class LlamaServer(EngineHttp):
    """A client of the server behind one Unix socket.  Raises EngineLost where nobody answers."""

    async def is_loaded(self) -> bool:
        """False while the server loads, or is not there yet."""
        return await self.is_there("/health")

    async def render(self, body: JsonObject) -> str:
        return (await self.ask("POST", "/apply-template", body))["prompt"]

    async def tokenize(self, text: str, *, parse_special: bool, is_start: bool = True) -> tuple[int, ...]:
        """`is_start`: with the model's start token, where it wants one; a rendered prompt lacks it."""
        body = {"content": text, "parse_special": parse_special, "add_special": is_start}
        return tuple((await self.ask("POST", "/tokenize", body))["tokens"])

    async def complete(self, body: JsonObject) -> JsonObject:
        """A whole completion in one answer."""
        return await self.ask("POST", "/completion", {**body, "stream": False})

    def stream(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject]:
        return super().stream(path, {**body, "stream": True})

    async def erase(self, slot: int) -> None:
        with contextlib.suppress(Refused):
            await self.ask("POST", f"/slots/{slot}?action=erase")

    async def wait_idle(self, slot: int, timeout_s: float) -> None:
        """Returns when the slot computes nothing.  Raises EngineLost where it does not stop."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if not (await self.ask("GET", "/slots"))[slot]["is_processing"]:
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError as fault:
            raise EngineLost(f"slot {slot} computes on after its turn was cancelled") from fault
