"""The bench of shared prefixes runs, computes its report again, and judges our policy alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.harness.record import Row, Run
from bench.prefixes.figures import figures
from tests.bench.runs import figures as quick

HEAD = {"settings": {"prompts_from": "made", "is_quick": False}, "code": "c", "machine": {}}


INDEX = {"kind": "index", "find_us": 10.0}


def row(policy: str, hit_share: float, max_to_mean: float, seed: int = 1) -> Row:
    found = {"hit_share_of_pooled": hit_share, "max_to_mean_work": max_to_mean}
    return {"kind": "policy", "policy": policy, "nodes": 8, "blocks": 8000, "seed": seed, "figures": found}


@pytest.mark.parametrize(
    ("hit_share", "max_to_mean", "is_reached"), [(0.98, 1.05, True), (0.97, 1.0, False), (1.0, 1.06, False)]
)
def test_both_figures_must_be_reached(hit_share: float, max_to_mean: float, is_reached: bool) -> None:
    found = figures(Run(HEAD, [INDEX, row("least-work", 0.3, 1.0), row("hearth", hit_share, max_to_mean)]))
    assert (found["hit_share_of_pooled"], found["max_to_mean_work"]) == (hit_share, max_to_mean)
    assert found["is_reached"] is is_reached


def test_figures_are_means_over_seeds() -> None:
    found = figures(Run(HEAD, [INDEX, row("hearth", 0.9, 1.0), row("hearth", 1.0, 1.1, seed=2)]))
    assert found["policies"] == {
        "8x8000 hearth": {"hit_share_of_pooled": 0.95, "max_to_mean_work": 1.05},
    }


def test_the_bench_of_prefixes(tmp_path: Path, repository: Path) -> None:
    measured = quick(repository, tmp_path / "events.jsonl", "prefixes")
    assert measured["is_quick"]
    assert measured["prompts_from"] == "made conversations"
    assert measured["index"]["num_blocks"] == 50 * 800
    assert 8 <= measured["index"]["bytes_per_block"] < 40
    assert set(measured["policies"]) == {"2x500 hearth", "2x500 least-work"}


def test_a_trace_that_cannot_be_read_is_named_before_anything_is_measured(
    tmp_path: Path, repository: Path
) -> None:
    data, out = tmp_path / "torn.jsonl.gz", tmp_path / "events.jsonl"
    data.write_bytes(b"no gzip")
    argv = [sys.executable, "-m", "bench.prefixes", "--quick", "--data", str(data), "--out", str(out)]
    done = subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"--data: {data} cannot be read")
    assert not out.exists()
