"""What we ask of a vLLM server: one method a question."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from cluster.deployments.engine import EngineLost
from cluster.deployments.engine_http import ANSWER_TIMEOUT_S, EngineHttp, Refused
from cluster.wire import JsonObject

LOOK_S = 0.01


class Metrics:
    """One look at vLLM's own metrics."""

    def __init__(self, text: str) -> None:
        # Most of the page is histograms, and the parser is slow.
        lines = [line for line in text.splitlines() if line.startswith("vllm:") and "_bucket{" not in line]
        self._samples = {
            sample.name: sample
            for family in text_string_to_metric_families("\n".join([*lines, ""]))
            for sample in family.samples
        }

    def number(self, name: str) -> float:
        """0 where vLLM does not tell it."""
        sample = self._samples.get(f"vllm:{name}")
        return 0.0 if sample is None else sample.value

    def label(self, name: str, label: str) -> str:
        sample = self._samples.get(f"vllm:{name}")
        return "" if sample is None else sample.labels.get(label, "")

    @property
    def kv_tokens(self) -> int:
        return int(self.label("cache_config_info", "kv_cache_size_tokens"))

    @property
    def block_tokens(self) -> int:
        return int(self.label("cache_config_info", "block_size"))

    @property
    def kv_bytes_of_rank(self) -> int:
        return int(self.label("cache_config_info", "kv_cache_memory_bytes"))

    @property
    def num_running(self) -> int:
        """Sequences that hold or want memory."""
        return int(self.number("num_requests_running") + self.number("num_requests_waiting"))


class VllmServer(EngineHttp):
    """A client of the server behind one Unix socket.  Raises EngineLost where nobody answers, or the server
    says that its engine is no more.  `model`: the name it serves."""

    def __init__(self, socket: Path, model: str) -> None:
        super().__init__(socket)
        self.model = model

    async def is_loaded(self) -> bool:
        return await self.is_there("/health")

    async def ask(self, method: str, path: str, body: JsonObject | None = None) -> Any:  # noqa: ANN401
        body = None if body is None else {"model": self.model, **body}
        try:
            return await super().ask(method, path, body)
        except Refused as fault:
            await self._check_alive(fault)
            raise

    async def stream(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject]:
        extra = {"model": self.model, "stream": True, "stream_options": {"include_usage": True}}
        try:
            async for event in super().stream(path, {**extra, **body}):
                yield event
        except Refused as fault:
            await self._check_alive(fault)
            raise

    async def _check_alive(self, fault: Refused) -> None:
        if fault.status >= 500 and not await self.is_loaded():
            raise EngineLost(str(fault)) from fault

    async def metrics(self) -> Metrics:
        timeout = aiohttp.ClientTimeout(ANSWER_TIMEOUT_S)
        try:
            async with self._http.get("/metrics", timeout=timeout) as response:
                return Metrics(await response.text())
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise EngineLost(f"/metrics: {fault or type(fault).__name__}") from fault

    async def tokenize(self, text: str, *, is_start: bool = True) -> tuple[int, ...]:
        """`is_start`: with the model's start token, where it wants one."""
        told = await self.ask("POST", "/tokenize", {"prompt": text, "add_special_tokens": is_start})
        return tuple(told["tokens"])

    async def wait_idle(self, num_others: Callable[[], int], timeout_s: float) -> None:
        """Returns when no more than `num_others` sequences run, which may begin and end meanwhile.  Raises
        EngineLost where one runs on."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if (await self.metrics()).num_running <= num_others():
                        return
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as fault:
            raise EngineLost("a sequence computes on after its turn was cancelled") from fault
