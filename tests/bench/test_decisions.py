"""The bench of decisions runs; the indexed machine and the naive scan say the same on its stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.test_quick_runs import figures

pytestmark = pytest.mark.timeout(120)


def test_the_bench_of_decisions(tmp_path: Path, repository: Path) -> None:
    found = figures(repository, tmp_path / "events.jsonl", "decisions")
    assert found["naive_agrees"]
    assert found["is_quick"]
    assert 0 < found["bytes_per_session"] <= 2048
    for home in found["homes"].values():
        assert home["evictions_per_turn"] > 0, "memory is not full: nothing had to make room"
        assert home["events"]["TurnFinished"]["num"] >= 100
        assert {"TurnArrived", "LeaseStarted", "FirstToken", "LeaseEnded", "ReplicaReport"} <= set(
            home["events"]
        )
