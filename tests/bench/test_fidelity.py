"""The bench of the speed model: its figures, and that the constants in the code are what the fit finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.fidelity.__main__ import read_points
from bench.fidelity.figures import figures
from bench.harness.record import Run
from cluster.core.speed.fit import fitted
from cluster.core.speed.fitted import FITTED
from cluster.core.speed.points import POINTS

HEAD = {"settings": {"data": None, "is_quick": True}, "code": "c", "machine": {}}


def row(predicted: float, doubt: str = "", group: str = "decode") -> dict[str, Any]:
    speeds = {"tokens_s": 100.0, "predicted_tokens_s": predicted, "fitted_tokens_s": 100.0}
    return {"kind": "point", "chip": "one", "group": group, "doubt": doubt, **speeds}


def test_the_constants_in_the_code_are_those_that_the_fit_finds() -> None:
    assert fitted(POINTS) == pytest.approx(dict(FITTED), rel=0.02)


def test_an_error_is_a_part_of_the_published_speed() -> None:
    found = figures(Run(HEAD, [row(90.0), row(105.0), row(300.0, "odd", "prefill")]))
    assert (found["points"], found["median_error"], found["worst_error"]) == (3, 0.1, 2.0)
    assert found["sure"] == {"num": 2, "median_error": 0.075, "worst_error": 0.1, "num_beyond": 0}
    assert [each["error"] for each in found["beyond"]] == [2.0]
    assert found["fitted_to_all"]["worst_error"] == 0.0


def test_batches_are_judged_apart() -> None:
    found = figures(Run(HEAD, [row(90.0), row(200.0, group="batches")]))
    assert (found["points"], found["worst_error"], found["batches"]["worst_error"]) == (1, 0.1, 1.0)


def test_points_of_others_are_read_from_a_file(tmp_path: Path) -> None:
    body = {"source": "mine", "machine": "rtx-3090", "model": "Qwen3-8B", "quantisation": "q4_k_m"}
    file = tmp_path / "points.jsonl"
    file.write_text(json.dumps({**body, "tokens_s": 100.0, "engine": "llamacpp"}) + "\n\n")
    (point,) = read_points(file)
    assert (point.machine, point.tokens_s, point.engine.value) == ("rtx-3090", 100.0, "llamacpp")
