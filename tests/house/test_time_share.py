from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.time_share import TimeShares

SECONDS_IN_ALL = 36 * 60


def run(pytester: pytest.Pytester, share_s: dict[str, float], limit_s: float = 60) -> pytest.RunResult:
    folder = pytester.mkpydir("tests") / "core"
    folder.mkdir()
    (folder / "test_one.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    return pytester.runpytest_inprocess("-p", "no:asyncio", plugins=[TimeShares(share_s, limit_s)])


def test_a_run_within_its_shares_passes_and_shows_them(pytester: pytest.Pytester) -> None:
    result = run(pytester, {"core": 50})
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["tests/core * 2 tests * of * 50 s", "together * 2 tests * of * 60 s"])


def test_a_folder_over_its_share_fails_the_run(pytester: pytest.Pytester) -> None:
    result = run(pytester, {"core": 0})
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["tests/core took * of its share of 0 s.*"])


def test_a_run_over_its_limit_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, {"core": 50}, limit_s=0)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["The tests took * of the 0 s that the run may take.*"])


def test_a_folder_without_a_share_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, {"front": 50})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: core: no share of the time*"])


def test_the_shares_fit_into_the_limit(repository: Path) -> None:
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["hearth"]
    assert settings["time_limit_s"]["full"] <= SECONDS_IN_ALL
    assert settings["time_limit_s"]["test"] <= 600
    assert sum(settings["time_share_s"].values()) <= settings["time_limit_s"]["full"]
