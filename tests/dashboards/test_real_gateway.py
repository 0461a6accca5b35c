"""The dashboard over a real gateway, router and front, which answer turns while Prometheus watches."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

from cluster.core.events import NodeReport, NodeUp
from cluster.core.ids import Cause, NodeId
from cluster.deployments.fake import FakeEngine, FakeSettings
from dashboards.source.capacity import PAGE
from tests.dashboards.scraped import NUM_SCRAPES, Prometheus, as_asked, scraping
from tests.gateway.home import Home, home

pytestmark = pytest.mark.needs_prometheus
PLANNED = "_estimate_off_"
"""Told of engines that were planned and report their bytes; the fake engine of this pool is neither."""
FILES = Path(__file__).parents[2] / "dashboards" / "prometheus"


async def turn(pool: Home) -> None:
    """One answered, and one that asks for what is not there."""
    body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "Good evening"}]}
    session = {"x-session-affinity": "dashboards"}
    async with pool.http.post(f"{pool.url}/v1/chat/completions", json=body, headers=session) as answer:
        assert "[DONE]" in await answer.text()
    status, _, _ = await pool.post("/v1/chat/completions", {**body, "model": "nobody"})
    assert status == 404


async def work_until_scraped(pool: Home, prometheus: Prometheus) -> int:
    """Returns the number of turns answered."""
    for number in range(1, 2000):
        await turn(pool)
        scrapes = await prometheus.ask("count_over_time(hearth_gateway_router_up[1m])")
        if scrapes and float(scrapes[0]["value"][1]) > NUM_SCRAPES:
            return number
    raise AssertionError("Prometheus never scraped the gateway")


def check(page: bytes) -> None:
    result = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")


async def test_turns_at_a_real_gateway_fill_the_dashboard(tmp_path: Path) -> None:
    engine = FakeEngine(FakeSettings(answer="Good evening to you"))
    async with home(engine) as pool, scraping(FILES, tmp_path, pool.url) as prometheus:
        node, cause = NodeId("node-1"), Cause("test")
        await pool.switch.post([NodeUp(node, 16 << 30, cause), NodeReport(node, 9 << 30, cause)])
        num_turns = await work_until_scraped(pool, prometheus)

        for panel in PAGE.panels:
            for query in (each for each in panel.queries if PLANNED not in each.expr):
                values = [float(one["value"][1]) for one in await prometheus.ask(as_asked(query.expr))]
                assert values, f"{panel.title}: {query.expr}"
                assert all(map(math.isfinite, values)), f"{panel.title}: {query.expr}"
        finished = await prometheus.number('hearth_turns_ended_total{outcome="finished"}')
        assert 0 < finished <= num_turns
        assert await prometheus.number('count(hearth_gateway_requests_total{status="404", model=""})') == 1
        async with pool.http.get(f"{pool.url}/metrics") as answer:
            page = await answer.read()
    check(page)
