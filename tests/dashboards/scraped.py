"""A pool that works, shown by two gateways, and a real Prometheus that watches them with our own files."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from aiohttp import web

from cluster.core.view import Counters, LoadTotals, PoolView
from cluster.metrics import CONTENT_TYPE, GatewayCounters, render
from tests.console.pools import HOME, ON_ITS_WAY
from tests.console.stand_in import serving

NUM_SCRAPES = 8
SCRAPE_INTERVAL = "200ms"
RATE_INTERVAL = "1s"
"""Stands for Grafana's `$__rate_interval`: some scrapes long."""


def as_asked(expr: str) -> str:
    """The query as Grafana sends it."""
    return expr.replace("$__rate_interval", RATE_INTERVAL).replace("$model", ".*")


class Gateway:
    """Each scrape finds more work done: everything that can happen in a pool happens."""

    def __init__(self) -> None:
        self.counters = GatewayCounters()
        self.num_scrapes = 0
        self.seen_enough = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _metrics(self, _: web.Request) -> web.Response:
        self.num_scrapes += 1
        if self.num_scrapes > NUM_SCRAPES:  # the one before it has been taken in
            self.seen_enough.set()
        self.work()
        page = render(busy(self.num_scrapes), self.counters)
        return web.Response(body=page, headers={"content-type": CONTENT_TYPE})

    def work(self) -> None:
        for model in ("qwen3-32b", "qwen3-8b"):
            self.counters.ttft(0.3, model)
            self.counters.queue_wait(0.02, model)
            self.counters.turn(7.0, model)
            self.counters.load_wait(12.0, model)
            self.counters.streamed(120, model)
            self.counters.request("/v1/chat/completions", 200, model)
        self.counters.request("/v1/chat/completions", 503, "qwen3-32b")
        self.counters.used("llamacpp", 1000, 900, 120)
        self.counters.lost("llamacpp", preempted=True)
        self.counters.lost("llamacpp", preempted=False)
        self.counters.disconnected()
        self.counters.continued()


def busy(step: int) -> PoolView:
    """`HOME` after `step` steps of work, with a model on its way."""
    counters = Counters(**{each.name: (number + 1) * step for number, each in enumerate(fields(Counters))})
    totals = LoadTotals(3 * step, step, 2 * step, step, 2 * step, 9000 * step)
    models = (replace(model, totals=totals) for model in (*HOME.models, ON_ITS_WAY))
    home = replace(HOME, models=tuple(models))
    return replace(home, counters=replace(counters, cached_tokens=9 * step, prompt_tokens=10 * step))


class Prometheus:
    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=10)

    async def ask(self, expr: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        answer = (await self._client.get("/api/v1/query", params={"query": expr})).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    async def number(self, expr: str) -> float:
        """The one sample of an instant query."""
        (sample,) = await self.ask(expr)
        return float(sample["value"][1])

    async def rules(self) -> list[dict[str, Any]]:
        groups = (await self._client.get("/api/v1/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def busy_pool(files: Path, folder: Path) -> AsyncGenerator[Prometheus]:
    """Two gateways of one pool, and a Prometheus that has scraped each of them often enough."""
    gateways = Gateway(), Gateway()
    async with (
        serving(gateways[0].app()) as one,
        serving(gateways[1].app()) as other,
        scraping(files, folder, one, other) as prometheus,
        asyncio.timeout(60),
    ):
        await asyncio.gather(*(gateway.seen_enough.wait() for gateway in gateways))
        yield prometheus


@asynccontextmanager
async def scraping(files: Path, folder: Path, *urls: str) -> AsyncGenerator[Prometheus]:
    """A Prometheus with our files that scrapes the gateways at `urls`."""
    (folder / "prometheus.yml").write_text(_config(files, [urlsplit(url).netloc for url in urls]))
    async with _running(folder) as url:
        prometheus = Prometheus(url)
        yield prometheus
        await prometheus.close()


def _config(files: Path, targets: list[str]) -> str:
    """Our config, faster and with other targets."""
    config = yaml.safe_load((files / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], SCRAPE_INTERVAL)
    config["rule_files"] = [str(files / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    return yaml.safe_dump(config)


@asynccontextmanager
async def _running(folder: Path) -> AsyncGenerator[str]:
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            await _ready(process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process) -> None:
    """Reads its log as far as that it is ready; what it says later is little and fits the pipe."""
    assert process.stderr is not None
    said = b""
    async for line in process.stderr:
        said += line
        if b"Server is ready" in line:
            return
    raise AssertionError(said.decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
