from __future__ import annotations

import pytest

from tests.needs import NEEDS, Need, Needs

NEEDED = {
    "needs_this": Need(lambda: True, "needs this"),
    "needs_that": Need(lambda: False, "needs that: install it"),
}
SUITE = """
import pytest

@pytest.mark.needs_this
def test_that_can_run(): pass

@pytest.mark.needs_that
def test_that_cannot_run(): raise AssertionError

@pytest.mark.skipif(True, reason="not here")
def test_that_skips_itself(): raise AssertionError
"""


def run(pytester: pytest.Pytester, suite: str, *, is_full: bool) -> pytest.RunResult:
    pytester.makepyfile(suite)
    pytester.makeini("[pytest]\nmarkers =\n  needs_this\n  needs_that\n")
    return pytester.runpytest_inprocess("-rs", "-p", "no:asyncio", plugins=[Needs(NEEDED, is_full)])


def test_what_is_missing_is_skipped_with_its_remedy(pytester: pytest.Pytester) -> None:
    result = run(pytester, SUITE, is_full=False)
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*needs that: install it"])


def test_in_the_full_run_each_skip_is_a_failure_with_its_reason(pytester: pytest.Pytester) -> None:
    result = run(pytester, SUITE, is_full=True)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*skips nothing: needs that: install it", "*skips nothing: not here"], consecutive=False
    )


def test_a_module_that_skips_itself_fails_the_full_run(pytester: pytest.Pytester) -> None:
    suite = 'import pytest\npytest.importorskip("absent", reason="absent is not here")'
    result = run(pytester, suite, is_full=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*skips nothing: absent is not here"])


def test_every_need_is_a_registered_mark(pytestconfig: pytest.Config) -> None:
    registered = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert NEEDS.keys() <= registered
