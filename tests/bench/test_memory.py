"""The bench of the estimator, over the published models and over a file of others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.memory.gguf_kinds import KINDS
from bench.memory.models import MODELS


def run(repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "bench.memory", "--json", "--engines", "none", *options]
    return subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=110, check=False)


def of_data(repository: Path, folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    file = folder / "data.json"
    file.write_text(json.dumps(data))
    done = run(repository, "--data", str(file), "--out", str(folder / "events.jsonl"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_published_models_are_met_and_the_report_says_the_same(repository: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    measured, again = run(repository, "--out", str(events)), run(repository, "--report", str(events))
    assert measured.returncode == again.returncode == 0, measured.stderr
    assert measured.stdout == again.stdout
    found = json.loads(measured.stdout)
    assert found["kv_exact"] >= 24
    assert found["kv_wrong"] == 0
    assert found["weights_within_3pct"] >= 55
    assert all(outside["why"] for outside in found["weights_outside"])
    assert found["engine_max_error"] is None
    assert found["engines_skipped"]["mlx"] == "not asked for"


def test_an_engine_here_takes_what_was_estimated(repository: Path, tmp_path: Path) -> None:
    """llama.cpp alone: it is always there, and a model of each kind loads in a second."""
    options = ("--engines", "llamacpp", "--out", str(tmp_path / "events.jsonl"))
    found = json.loads(run(repository, *options).stdout)
    assert {each["kind"].partition(",")[0] for each in found["engines"]} == set(KINDS)
    assert found["engine_kv_error_bytes"] == 0
    assert found["engine_max_error"] <= 0.05
    assert found["engine_buffers_short"] == 0
    assert set(found["engines_skipped"]) == {"mlx", "vllm"}


def test_other_models_are_estimated_from_a_file(repository: Path, tmp_path: Path) -> None:
    told = {
        "models": {"one": MODELS["Qwen3-8B"], "other": {"hidden_size": 8}},
        "weights": [
            {"model": "one", "quantisation": "4bit", "gb": 4.608},
            {"model": "one", "gb": 16.38},
            {"model": "one", "quantisation": "8bit", "gb": 4.6},
            {"model": "other", "gb": 1.0},
        ],
        "kv": [{"model": "one", "token_bytes": 147_456}, {"model": "one", "token_bytes": 147_457}],
    }
    found = of_data(repository, tmp_path, told)
    assert (found["weights_within_3pct"], found["weights_pairs"]) == (2, 4)
    assert found["weights_worst"]["model"] == "other"
    assert (found["kv_exact"], found["kv_wrong"]) == (1, 1)
    assert list(found["models_refused"]) == ["other"]


def test_a_file_of_configs_alone_says_what_is_in_doubt(repository: Path, tmp_path: Path) -> None:
    silent = {key: value for key, value in MODELS["Kimi-K2"].items() if key != "q_lora_rank"}
    assert list(of_data(repository, tmp_path, {"kimi": silent})["models_in_doubt"]) == ["kimi"]


def test_a_file_that_names_a_model_it_has_not_is_refused(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"models": {}, "weights": [{"model": "gone", "gb": 1}]}))
    done = run(repository, "--data", str(file), "--out", str(tmp_path / "events.jsonl"))
    assert done.returncode == 1
    assert "gone" in done.stderr
