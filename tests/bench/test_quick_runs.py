"""The benches of engines, swaps, kills and fidelity run, and keep what does not depend on speed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)

RUN_S, END_S = 190.0, 40.0


def figures(repository: Path, events: Path, bench: str, *options: str) -> dict[str, Any]:
    """Runs the bench, and has its report made again from the raw events."""
    argv = [sys.executable, "-m", f"bench.{bench}", "--json"]
    more = [["--quick", "--out", str(events), *options], ["--report", str(events)]]
    measured, again = (json.loads(_output([*argv, *each], repository)) for each in more)
    assert measured == again
    return measured


def _output(argv: list[str], repository: Path) -> str:
    """What it prints.  One that takes too long is ended as by Ctrl-C: it then ends its pool too."""
    with subprocess.Popen(
        argv, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        try:
            printed, said = bench.communicate(timeout=RUN_S)
        except subprocess.TimeoutExpired:
            bench.send_signal(signal.SIGINT)
            _, said = bench.communicate(timeout=END_S)
            pytest.fail(f"it took longer than {RUN_S:.0f} s: {said}")
    assert bench.returncode == 0, said
    return printed


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
