"""What every test runs under: its needs, its share of the time, and a Ray that is patient and silent."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from tests.needs import IS_FULL, Needs, find_chromium
from tests.time_share import TimeShares

# Ray reads these once, when it is imported.  A loaded machine may take long to start a raylet.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def pytest_configure(config: pytest.Config) -> None:
    settings = tomllib.loads((config.rootpath / "pyproject.toml").read_text())["tool"]["hearth"]
    limit_s = settings["time_limit_s"]["full" if IS_FULL else "test"]
    config.pluginmanager.register(Needs(), "needs")
    config.pluginmanager.register(TimeShares(settings["time_share_s"], limit_s), "time_share")


@pytest.fixture
def repository() -> Path:
    """The root of the repository, for tests of the files that come along."""
    return Path(__file__).parents[1]


@pytest.fixture
def chromium() -> str:
    """The browser's path, for tests marked `needs_chromium`."""
    path = find_chromium()
    assert path is not None, "mark the test with needs_chromium"
    return path
