"""The dashboards show what is really there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import promql_parser
import pytest
import pytest_asyncio
import yaml

from cluster.metrics import METRICS, Kind
from dashboards.source import capacity, engines
from dashboards.source.__main__ import PAGES, text
from dashboards.source.page import Page
from dashboards.source.panel import Panel
from tests.console.pools import GIB, ON_ITS_WAY
from tests.dashboards.scraped import Prometheus, as_asked, busy_pool

ROOT = Path(__file__).parents[2]
FILES = ROOT / "dashboards" / "prometheus"
SERIES = {metric.name for metric in METRICS if metric.kind is not Kind.HISTOGRAM} | {
    f"{metric.name}_{part}"
    for metric in METRICS
    if metric.kind is Kind.HISTOGRAM
    for part in ("bucket", "count", "sum")
}


PANELS = [pytest.param(panel, id=f"{page.name}: {panel.title}") for page in PAGES for panel in page.panels]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_file_is_what_its_source_makes(page: Page) -> None:
    assert (ROOT / "dashboards" / page.file_name).read_text() == text(page), "run python -m dashboards.source"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_two_panels_share_a_place(page: Page) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(text(page))["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own


@pytest.mark.parametrize("panel", PANELS)
def test_queries_are_promql_over_metrics_that_exist(panel: Panel) -> None:
    for query in panel.queries:
        promql_parser.parse(as_asked(query.expr))
        assert set(re.findall(r"hearth_\w+", query.expr)) <= SERIES


def test_rules_ask_for_metrics_that_exist() -> None:
    groups = yaml.safe_load((FILES / "rules.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        asked = re.findall(r"(?<![:\w])hearth_\w+(?!\w*:)", rule["expr"])
        assert set(asked) <= SERIES, rule


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Prometheus]:
    async with busy_pool(FILES, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.mark.needs_prometheus
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("panel", PANELS)
async def test_a_working_pool_fills_every_panel(prometheus: Prometheus, panel: Panel) -> None:
    for query in panel.queries:
        samples = await prometheus.ask(as_asked(query.expr))
        values = [float(sample["value"][1]) for sample in samples]
        assert values, query.expr
        assert all(map(math.isfinite, values)), query.expr
        assert any(value > 0 for value in values) or panel.title == "Models failed", query.expr
        for label in re.findall(r"{{(\w+)}}", query.legend):
            assert all(label in sample["metric"] for sample in samples), query.legend


@pytest.mark.needs_prometheus
@pytest.mark.asyncio(loop_scope="module")
async def test_two_gateways_do_not_double_the_pool(prometheus: Prometheus) -> None:
    by_title = {panel.title: as_asked(panel.queries[0].expr) for panel in capacity.PAGE.panels}
    assert await prometheus.number("count(up == 1)") == 2
    assert await prometheus.number(by_title["Turns running"]) == 4
    assert await prometheus.number(by_title["Turns waiting"]) == 2
    assert await prometheus.number(by_title["Free tokens"]) == 47_872 + 17_408 + 65_536
    assert await prometheus.number(by_title["KV memory in use"]) == pytest.approx(98_560 / 229_376)
    assert await prometheus.number(by_title["Prompt from cache"]) == pytest.approx(0.9, abs=0.05)


@pytest.mark.needs_prometheus
@pytest.mark.asyncio(loop_scope="module")
async def test_models_and_engines_are_told_as_they_are(prometheus: Prometheus) -> None:
    by_title = {panel.title: as_asked(panel.queries[0].expr) for panel in engines.PAGE.panels}
    assert await prometheus.number(by_title["Models ready"]) == 3
    assert await prometheus.number(by_title["Models on their way"]) == 1
    assert await prometheus.number(by_title["Models failed"]) == 0
    assert await prometheus.number(by_title["Memory held by models"]) == pytest.approx(63.5 / 92)
    held = {
        (one["metric"]["model"], one["metric"]["node"]): float(one["value"][1]) / GIB
        for one in await prometheus.ask(by_title["Memory by model"])
    }
    coder = ON_ITS_WAY.model
    assert held == {
        ("qwen3-32b", "studio"): 53.0,
        ("qwen3-8b", "laptop"): 10.5,
        (coder, "studio"): 15.0,
        (coder, "laptop"): 2.0,
    }
    share = {
        one["metric"]["engine"]: float(one["value"][1])
        for one in await prometheus.ask(by_title["Prompt from cache by engine"])
    }
    assert share == {"llamacpp": pytest.approx(0.9)}


@pytest.mark.needs_prometheus
@pytest.mark.asyncio(loop_scope="module")
async def test_every_rule_runs(prometheus: Prometheus) -> None:
    rules = await prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert await prometheus.number('replica:hearth_kv_used:ratio{replica="large-1"}') == pytest.approx(
        83_200 / 131_072
    )
