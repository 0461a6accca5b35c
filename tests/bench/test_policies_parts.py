"""The bench of policies runs, computes its report again, and compares only what is comparable."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.harness.record import Run
from bench.policies.figures import figures
from bench.policies.reference import REFERENCE
from cluster.simulate.peers import PEERS
from tests.bench.runs import figures as quick

NAMES = ("mean_turn_s", "ttft_p99_s", "hit_rate")


def run(**settings: object) -> Run:
    """Two seeds of sticky at 12 sessions, a tenth above the reference and a tenth below; p99 twice it."""
    rows: list[dict[str, Any]] = [
        {
            "kind": "policy",
            "device": "shared",
            "policy": "sticky",
            "num_sessions": 12,
            "seed": seed,
            "figures": dict(zip(NAMES, (mean_s, 238.0, 0.9), strict=True)),
        }
        for seed, mean_s in ((1, 17.9 * 1.1), (2, 17.9 * 0.9))
    ]
    told = {"lab": "five-nodes", "turns": 6000, "data": None, "is_quick": False} | settings
    return Run({"settings": told, "code": "c", "machine": {}}, rows)


def test_means_over_seeds_are_compared_with_the_reference() -> None:
    found = figures(run())
    assert (found["cells"], found["mean_within_15pct"], found["p99_within_15pct"]) == (1, 1, 0)
    assert (found["mean_outside"], found["p99_outside"]) == ({}, {"shared sticky 12": 2.0})
    cell = found["policies"]["shared sticky 12"]
    assert (cell["mean_ratio"], cell["p99_ratio"]) == (1.0, 2.0)
    assert cell["seeds_mean_turn_s"] == [pytest.approx(16.11), pytest.approx(19.69)]


@pytest.mark.parametrize("other", [{"lab": "two-studios-3090"}, {"turns": 200}])
def test_another_set_up_is_not_compared(other: dict[str, object]) -> None:
    assert figures(run(**other))["cells"] == 0


def test_the_reference_has_each_policy_but_those_it_never_ran() -> None:
    without = {"round-robin", "least-kv", "power-of-two-distinct", "ray-prefix-distinct"}
    assert {name for _, name, _ in REFERENCE} == set(PEERS) - without
    assert len(REFERENCE) == 60


@pytest.mark.parametrize("content", [gzip.compress(bytes(1000))[:-9], gzip.compress(b"")[:10] + b"\xff" * 20])
def test_a_torn_trace_is_refused_in_words(tmp_path: Path, repository: Path, content: bytes) -> None:
    (tmp_path / "torn.gz").write_bytes(content)
    argv = [sys.executable, "-m", "bench.policies", "--quick", "--data", str(tmp_path / "torn.gz")]
    done = subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert done.stderr.startswith(f"--data: {tmp_path / 'torn.gz'} cannot be read: ")
    assert "Traceback" not in done.stderr


def test_the_bench_of_policies(tmp_path: Path, repository: Path) -> None:
    measured = quick(repository, tmp_path / "events.jsonl", "policies")
    assert measured["is_quick"]
    assert len(measured["policies"]) == len(PEERS)
