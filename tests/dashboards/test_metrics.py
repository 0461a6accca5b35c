"""The page that Prometheus reads, and its reference."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster.metrics import GATEWAY_METRICS, METRICS, GatewayCounters, Kind, render
from cluster.metrics.__main__ import reference
from cluster.metrics.gateway import MAX_LABEL_VALUES
from tests.console.pools import GIB, HOME, LOADING
from tests.dashboards.scraped import Gateway

UNITS = ("_bytes", "_seconds", "_tokens", "_tokens_per_second")


@pytest.fixture
def busy() -> GatewayCounters:
    """The counters of a gateway to which everything has happened once."""
    gateway = Gateway()
    gateway.work()
    return gateway.counters


def samples(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(page.decode())
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples
    }


def value(page: bytes, name: str, **labels: str) -> float:
    return samples(page)[name, frozenset(labels.items())]


def test_the_reference_is_current(repository: Path) -> None:
    told = (repository / "docs" / "metrics.md").read_text()
    assert told == reference(), "run python -m cluster.metrics > docs/metrics.md"


def test_the_page_has_each_metric_of_the_table_and_no_other(busy: GatewayCounters) -> None:
    heads = re.findall(r"^# TYPE (\S+) (\S+)$", render(HOME, busy).decode(), re.MULTILINE)
    assert sorted(heads) == sorted((metric.name, str(metric.kind)) for metric in METRICS)


def test_names_say_unit_and_kind() -> None:
    for metric in METRICS:
        assert metric.name.startswith("hearth_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        named = any(metric.name.removesuffix("_total").endswith(unit) for unit in UNITS)
        assert named == (metric.unit in ("bytes", "seconds", "tokens", "tokens/s")), metric.name


def test_replicas_are_shown_as_the_router_sees_them(busy: GatewayCounters) -> None:
    page = render(HOME, busy)
    large = {"replica": "large-1", "node": "studio", "model": "qwen3-32b"}
    assert value(page, "hearth_replica_kv_capacity_tokens", **large) == 131_072
    assert value(page, "hearth_replica_kv_reserved_tokens", **large) == 52_480
    assert value(page, "hearth_replica_kv_resident_tokens", **large) == 30_720
    assert value(page, "hearth_replica_kv_free_tokens", **large) == 131_072 - 52_480 - 30_720
    assert value(page, "hearth_queue_turns", model="qwen3-32b") == 2
    assert value(page, "hearth_queue_turns", model="qwen3-8b") == 0
    assert value(page, "hearth_queue_oldest_wait_seconds", model="qwen3-32b") == 6.4
    assert value(page, "hearth_turns_ended_total", outcome="rejected") == 4
    assert value(render(LOADING, busy), "hearth_model_state", model="broken", state="failed") == 1


def test_nodes_are_shown_with_what_they_leave_free(busy: GatewayCounters) -> None:
    page = render(HOME, busy)
    assert value(page, "hearth_node_models_bytes", node="studio") == 80 * GIB
    assert value(page, "hearth_node_reserve_bytes", node="studio") == 5 * GIB


def test_what_engines_report_is_held_against_what_was_planned(busy: GatewayCounters) -> None:
    page = render(HOME, busy)
    large = {"replica": "large-1", "node": "studio", "model": "qwen3-32b"}
    small = {"replica": "small-1", "node": "laptop", "model": "qwen3-8b"}
    assert value(page, "hearth_replica_kv_estimate_off_tokens", **large) == 0
    assert value(page, "hearth_replica_memory_estimate_off_bytes", **large) == GIB
    assert value(page, "hearth_replica_kv_estimate_off_tokens", **small) == -256
    assert value(page, "hearth_replica_memory_estimate_off_bytes", **small) == -GIB // 2
    named = {dict(labels).get("replica") for name, labels in samples(page) if "_estimate_off_" in name}
    assert named == {"large-1", "small-1"}, "nobody planned the upstream"


def test_a_histogram_counts_a_value_under_its_own_bound_and_above() -> None:
    counters = GatewayCounters()
    for seconds in (0.1, 0.3, 900.0):
        counters.ttft(seconds, "m")
    page = render(None, counters)
    name = "hearth_gateway_time_to_first_token_seconds"
    bounds = {"0.05": 0, "0.1": 1, "0.25": 1, "0.5": 2, "300.0": 2, "+Inf": 3}
    assert {le: value(page, f"{name}_bucket", model="m", le=le) for le in bounds} == bounds
    assert value(page, f"{name}_count", model="m") == 3
    assert value(page, f"{name}_sum", model="m") == pytest.approx(900.4)


def test_a_request_is_in_flight_until_it_ends_however_it_ends() -> None:
    counters = GatewayCounters()
    with suppress(ConnectionError), counters.in_flight():
        assert value(render(None, counters), "hearth_gateway_requests_in_flight") == 1
        raise ConnectionError
    assert value(render(None, counters), "hearth_gateway_requests_in_flight") == 0


def test_without_a_router_the_gateway_still_tells_its_own(busy: GatewayCounters) -> None:
    page = render(None, busy)
    assert value(page, "hearth_gateway_router_up") == 0
    assert value(render(HOME, busy), "hearth_gateway_router_up") == 1
    families = {family.name for family in text_string_to_metric_families(page.decode())}
    assert families == {metric.name.removesuffix("_total") for metric in GATEWAY_METRICS}


def test_a_client_cannot_fill_the_page_with_names() -> None:
    counters = GatewayCounters()
    for number in range(5 * MAX_LABEL_VALUES):
        counters.request(f"/{number}", 404, f"m{number}")
        counters.streamed(1, f"m{number}")
    page = render(None, counters)
    assert len(page.splitlines()) < 3 * MAX_LABEL_VALUES
    assert value(page, "hearth_gateway_streamed_tokens_total", model="other") == 4 * MAX_LABEL_VALUES


def test_nobody_is_named(busy: GatewayCounters) -> None:
    page = render(HOME, busy).decode()
    for session in HOME.sessions:
        assert session.session not in page
        assert f'"{session.tenant}"' not in page


@pytest.mark.needs_prometheus
def test_promtool_accepts_the_page(busy: GatewayCounters) -> None:
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=render(HOME, busy), capture_output=True, timeout=60
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b""
