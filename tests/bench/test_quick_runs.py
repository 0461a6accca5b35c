"""The benches of engines, swaps, kills and fidelity run, and keep what does not depend on speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)


def figures(repository: Path, events: Path, bench: str, *options: str) -> dict[str, Any]:
    """Runs the bench, and has its report made again from the raw events."""
    argv = [sys.executable, "-m", f"bench.{bench}", "--json"]
    more = [["--quick", "--out", str(events), *options], ["--report", str(events)]]
    told = [
        subprocess.run(
            [*argv, *each], cwd=repository, capture_output=True, text=True, timeout=230, check=False
        )
        for each in more
    ]
    assert [each.returncode for each in told] == [0, 0], told[0].stderr
    measured, again = (json.loads(each.stdout) for each in told)
    assert measured == again
    return measured


def test_the_bench_of_engines(tmp_path: Path, repository: Path) -> None:
    found = figures(repository, tmp_path / "events.jsonl", "engines", "--engines", "llamacpp")
    engine = found["engines"][0]
    assert engine["name"] == "llamacpp"
    assert engine["greedy_equal"]
    assert engine["prefix_prefill_share"] <= 0.1
    assert engine["tokens_per_s_ratio"] > 0
    assert engine["ttft_ratio"] > 0


def test_the_bench_of_swaps(tmp_path: Path, repository: Path) -> None:
    found = figures(repository, tmp_path / "events.jsonl", "swap")
    for side in (found["batched"], found["first_come"]):
        assert side["answered"] == side["turns"]
    assert found["batched"]["model_wait_max_s"] <= found["batched"]["wait_bound_s"]


def test_the_bench_of_fidelity(tmp_path: Path, repository: Path) -> None:
    found = figures(repository, tmp_path / "events.jsonl", "fidelity")
    assert list(found["chips"]) == ["NVIDIA GB10"]
    assert found["points"] >= 10
    assert found["median_error"] <= 0.1


@pytest.mark.needs_mlx
def test_the_bench_of_kills(tmp_path: Path, repository: Path) -> None:
    times = "llamacpp=1,mlx-tp2=2"
    found = figures(repository, tmp_path / "events.jsonl", "kills", "--times", times)
    assert [engine["kills"] for engine in found["engines"]] == [1, 2]
    for engine in found["engines"]:
        assert engine["turns_with_fate"] == engine["same_answer"] == engine["turns"]
        assert engine["fate_max_s"] <= 2.0
        assert engine["back_num"] == engine["kills"]
        assert engine["left_over"] == 0
