"""The bench runs, tells what it promises, and takes no results of other code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROMISED = {
    "added_ttfb_p50_ms",
    "added_ttfb_warm_p50_ms",
    "added_first_byte_p50_ms",
    "burst_answered",
    "burst_order",
    "burst_throughput_ratio",
    "burst_kv_in_use_ratio",
    "burst_cpu_s",
    "engine_over_capacity",
    "first_start_s",
    "second_start_s",
    "memory_mib",
    "prompts",
}


def bench(repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "bench.first_light", *options]
    return subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=170, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw events of a quick run."""
    repository = Path(__file__).parents[2]
    events = tmp_path_factory.mktemp("bench") / "events.jsonl"
    told = bench(repository, "--quick", "--json", "--out", str(events))
    assert told.returncode == 0, told.stderr
    events.with_suffix(".json").write_text(told.stdout)
    return events


@pytest.fixture
def figures(quick: Path) -> dict[str, Any]:
    return json.loads(quick.with_suffix(".json").read_text())


@pytest.mark.timeout(180)
def test_a_quick_run_tells_everything(figures: dict[str, Any]) -> None:
    assert figures.keys() >= PROMISED
    assert [name for name, value in figures.items() if value is None] == ["second_start_s"]
    assert figures["prompts"].startswith("made from the seed")
    by_role = figures["memory_mib"]["by_role"]
    assert by_role.keys() >= {"supervisor", "router", "gateway", "node agent", "engine", "ray: raylet"}


@pytest.mark.timeout(180)
def test_a_burst_is_answered_in_order_and_within_capacity(figures: dict[str, Any]) -> None:
    assert figures["burst_answered"] == 50
    assert figures["burst_refused"] == 0
    assert figures["engine_over_capacity"] == 0
    assert figures["burst_order"]["max_displacement"] <= 8
    assert figures["burst_order"]["rank_correlation"] > 0.95


@pytest.mark.timeout(180)
def test_both_sides_were_asked_the_same(figures: dict[str, Any]) -> None:
    assert figures["ttfb_same_prompts"]
    assert figures["ttfb_same_prefix_cache"]


@pytest.mark.timeout(180)
def test_a_report_computes_the_same_figures(quick: Path, figures: dict[str, Any], repository: Path) -> None:
    told = bench(repository, "--json", "--report", str(quick))
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == figures


@pytest.mark.timeout(180)
def test_raw_events_name_neither_host_nor_folder(quick: Path, repository: Path) -> None:
    text = quick.read_text()
    assert str(repository) not in text
    assert "/tmp" not in text
    assert str(Path.home()) not in text


def test_results_of_other_code_are_refused(tmp_path: Path, repository: Path) -> None:
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text(json.dumps({"kind": "run", "bench": "first_light", "code": "0" * 64}) + "\n")
    told = bench(repository, "--report", str(foreign))
    assert told.returncode == 2
    assert "other code" in told.stderr
    assert told.stdout == ""


def test_a_wrong_setting_is_named(tmp_path: Path, repository: Path) -> None:
    config = tmp_path / "bench.yaml"
    config.write_text("turns: none\n")
    told = bench(repository, "--config", str(config))
    assert told.returncode != 0
    assert told.stderr.startswith("turns: ")
