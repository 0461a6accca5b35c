"""Each folder of tests has a share of the time, so that the whole suite keeps its limit as it grows.

The shares stand in pyproject.toml under `tool.hearth.time_share_s`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from pathlib import PurePosixPath

import pytest


class TimeShares:
    """Fails the run that takes longer than its limit, or whose folder takes longer than its share."""

    def __init__(self, share_s: dict[str, float], limit_s: float) -> None:
        self._share_s, self._limit_s = share_s, limit_s
        self._num_tests: Counter[str] = Counter()
        self._spent_s: defaultdict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        unknown = sorted({folder_of(item.nodeid) for item in items} - self._share_s.keys())
        if unknown:
            raise pytest.UsageError(
                f"{', '.join(unknown)}: no share of the time. Put each test into a folder of tests/ "
                "that stands in [tool.hearth.time_share_s] of pyproject.toml."
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (folder := folder_of(report.nodeid)) in self._share_s:
            self._spent_s[folder] += report.duration
            self._num_tests[folder] += report.when == "call"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        for excess in self._excesses():
            session.ihook.pytest_runtest_logreport(report=_failure(excess))
        return result

    def _excesses(self) -> Iterable[str]:
        for folder, spent_s in self._spent_s.items():
            if spent_s > self._share_s[folder]:
                yield f"tests/{folder} took {spent_s:.1f} s of its share of {self._share_s[folder]} s."
        if (total_s := self._total_s()) > self._limit_s:
            yield f"The tests took {total_s:.1f} s of the {self._limit_s} s that the run may take."

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._spent_s:
            return
        terminalreporter.section("time")
        for folder, spent_s in sorted(self._spent_s.items()):
            num_tests = self._num_tests[folder]
            terminalreporter.line(_row(f"tests/{folder}", num_tests, spent_s, self._share_s[folder]))
        num_tests = self._num_tests.total()
        terminalreporter.line(_row("together", num_tests, self._total_s(), self._limit_s))

    def _total_s(self) -> float:
        return sum(self._spent_s.values())


def folder_of(nodeid: str) -> str:
    """The folder below tests/, or the path itself where there is none."""
    path = PurePosixPath(nodeid.partition("::")[0])
    return path.parts[1] if len(path.parts) > 2 and path.parts[0] == "tests" else str(path)


def _row(name: str, num_tests: int, spent_s: float, share_s: float) -> str:
    return f"{name:<18} {num_tests:>5} tests {spent_s:>8.1f} s of {share_s:>5} s"


def _failure(words: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="time share",
        location=("pyproject.toml", None, "time share"),
        keywords={},
        outcome="failed",
        longrepr=f"{words} Make the tests quicker, or take from another folder's share in pyproject.toml.",
        when="call",
    )
