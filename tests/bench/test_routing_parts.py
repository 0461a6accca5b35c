"""The bench of routing runs, computes its report again, and divides by the right ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.harness.record import Row, Run
from bench.routing.figures import figures

TOLD = {
    "labs": ["five-nodes"],
    "sessions": [12],
    "devices": ["shared", "undisturbed"],
    "ours": "router",
    "seeds": [1, 2],
    "turns": 6000,
    "data": None,
    "is_quick": False,
    "memory_error": 0.1,
    "speed_error": 0.5,
}


def row(
    policy: str, seed: int, mean_s: float, p99_s: float, device: str = "shared", *, is_mistaken: bool = False
) -> Row:
    found: dict[str, Any] = {
        "mean_turn_s": mean_s,
        "ttft_p99_s": p99_s,
        "worst_to_median_session": 2.0 * seed,
        "longest_wait_s": 100.0 * seed,
    }
    who = {"lab": "five-nodes", "num_sessions": 12, "policy": policy, "device": device, "seed": seed}
    return {"kind": "policy", **who, "is_mistaken": is_mistaken, "figures": found}


def rows() -> list[Row]:
    """The best shipping one in mean turn is not the best in p99, and Mooncake's rule, which ships nowhere, is
    better than both."""
    return [
        *(row("router", seed, 5.0 + seed, 30.0) for seed in (1, 2)),
        *(row("sticky", seed, 10.0, 100.0) for seed in (1, 2)),
        *(row("dualmap", seed, 13.0, 60.0) for seed in (1, 2)),
        *(row("mooncake", seed, 6.5, 40.0) for seed in (1, 2)),
        *(row("router", seed, 13.0, 30.0, "undisturbed") for seed in (1, 2)),
        *(row("sticky", seed, 10.0, 100.0, "undisturbed") for seed in (1, 2)),
        *(row("router", seed, 13.0, 45.0, is_mistaken=True) for seed in (1, 2)),
        *(row("sticky", seed, 10.0, 90.0, is_mistaken=True) for seed in (1, 2)),
    ]


def test_ours_is_compared_with_the_best_shipping_policy_of_each_figure() -> None:
    cell = figures(Run({"settings": TOLD, "code": "c", "machine": {}}, rows()))["labs"]["five-nodes"]["12"]
    assert (cell["mean_ratio_best_shipping"], cell["mean_best_shipping"]) == (0.65, "sticky")
    assert (cell["p99_ratio_best_shipping"], cell["p99_best_shipping"]) == (0.5, "dualmap")
    assert (cell["mean_ratio_mooncake"], cell["p99_ratio_mooncake"]) == (1.0, 0.75)
    assert (cell["worst_to_median_session"], cell["longest_wait_s"]) == (3.0, 200.0)
    assert cell["policies"]["router"]["seeds_mean_turn_s"] == [6.0, 7.0]


def test_the_other_device_and_wrong_beliefs_stand_beside() -> None:
    found = figures(Run({"settings": TOLD, "code": "c", "machine": {}}, rows()))
    beside = found["labs"]["five-nodes"]["12"]["undisturbed"]
    assert (beside["mean_ratio_best_shipping"], beside["mean_ratio_mooncake"]) == (1.3, None)
    wrong = found["mistaken"]["labs"]["five-nodes"]["12"]
    assert (wrong["mean_ratio_best_shipping"], wrong["p99_ratio_best_shipping"]) == (1.3, 0.5)
    assert wrong["policies"]["router"]["mean_ratio_exact"] == 2.0
    assert wrong["policies"]["sticky"]["p99_ratio_exact"] == 0.9


def test_the_bench_of_routing(tmp_path: Path, repository: Path) -> None:
    argv = [sys.executable, "-m", "bench.routing", "--json"]
    events = str(tmp_path / "events.jsonl")
    wished = ("--quick", "--policies", "sticky,mooncake", "--ours", "router", "--speed-error", "0.5")
    told = [
        subprocess.run(
            [*argv, *more], cwd=repository, capture_output=True, text=True, timeout=100, check=True
        )
        for more in ((*wished, "--out", events), ("--report", events))
    ]
    measured, again = (json.loads(each.stdout) for each in told)
    assert measured == again
    for labs in (measured["labs"], measured["mistaken"]["labs"]):
        for lab in ("five-nodes", "two-studios-3090"):
            assert set(labs[lab]["12"]["policies"]) == {"sticky", "mooncake", "router"}
            assert labs[lab]["12"]["mean_ratio_mooncake"] > 0


def test_an_unknown_policy_is_named(repository: Path) -> None:
    argv = [sys.executable, "-m", "bench.routing", "--policies", "stikcy"]
    done = subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "policies.0" in done.stderr
    assert "'stikcy'" in done.stderr
