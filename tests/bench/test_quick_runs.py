"""The benches of engines, swaps, kills and fidelity run, and keep what does not depend on speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.runs import figures

pytestmark = pytest.mark.timeout(240)


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
