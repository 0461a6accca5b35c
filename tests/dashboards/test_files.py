"""The files for Prometheus and Grafana are valid and fit together."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config import HTTP_PORT


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / "dashboards"


def promtool(*arguments: str | Path) -> None:
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def load(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return yaml.safe_load(path.read_text())


@pytest.mark.needs_prometheus
def test_promtool_accepts_config_and_rules_and_the_rules_pass_their_tests(folder: Path) -> None:
    promtool("check", "config", folder / "prometheus/prometheus.yml")
    promtool("check", "rules", folder / "prometheus/rules.yml")
    promtool("test", "rules", folder / "prometheus/rules_test.yml")


def test_every_alert_is_seen_firing_and_says_what_to_do(folder: Path) -> None:
    groups = load(folder / "prometheus/rules.yml")["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    tested = [
        case["alertname"]
        for test in load(folder / "prometheus/rules_test.yml")["tests"]
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    ]
    assert {alert["alert"] for alert in alerts} == set(tested)
    for alert in alerts:
        assert alert["annotations"].keys() == {"summary", "description"}
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_the_scrape_reaches_the_gateway_and_grafana_the_prometheus(folder: Path) -> None:
    (scrape,) = load(folder / "prometheus/prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"127.0.0.1:{HTTP_PORT}"]}]
    (source,) = load(folder / "provisioning/datasources/hearth.yml")["datasources"]
    interval = load(folder / "prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", interval)
    (provider,) = load(folder / "provisioning/dashboards/hearth.yml")["providers"]
    assert provider["options"]["path"] == "${HEARTH_DASHBOARDS}"
