"""`hearth plan` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app
from cluster.cli.forecast_page import time_words
from cluster.core.speed.known_models import known_model


def plan(*options: str) -> Result:
    return CliRunner().invoke(app, ["plan", *options])


def test_a_plan_shows_where_a_model_lies_and_what_would_help() -> None:
    done = plan("--machine", "m3-ultra-256", "--model", "MiniMax-M2.1", "--context", "131072")
    assert done.exit_code == 0
    assert "MiniMax-M2.1 in 4bit: m3-ultra-256, on MLX" in done.stdout
    assert "█ weights" in done.stdout
    assert "2 of 131,072 tokens" in done.stdout
    assert "would help most" in done.stdout


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (("Qwen3-32B",), "Qwen3-32B computes there"),
        (("Qwen3-32B", "gpt-oss-120b"), "Qwen3-32B compute there"),
    ],
)
def test_models_that_share_a_machine_are_told_of_each_other(others: tuple[str, ...], words: str) -> None:
    models = [part for name in ("Qwen3-8B", *others) for part in ("--model", name)]
    assert words in " ".join(plan("--machine", "m3-ultra-512", *models).stdout.split())


def test_a_plan_as_json_has_the_figures_of_each_way() -> None:
    machines = ("--machine", "m3-ultra-256") * 2
    done = plan(*machines, "--model", "MiniMax-M2.1", "--context", "196608", "--link", "tb5-rdma", "--json")
    body = json.loads(done.stdout)
    (model,) = body["models"]
    assert (model["holds"], model["on"], model["split"]) == (True, "2 x m3-ultra-256", "tensor")
    assert {way["split"] for way in model["other_ways"]} == {"none", "pipeline"}
    assert model["changes"][0]["after_s"] < model["turn_s"]


def test_any_model_is_planned_from_its_own_config(tmp_path: Path) -> None:
    file = tmp_path / "my-model" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(dict(known_model("Qwen3-8B"))))
    options = ("--machine", "rtx-3090", "--quantisation", "q4_k_m", "--context", "16384", "--json")
    own = json.loads(plan(*options, "--config", str(file)).stdout)["models"][0]
    known = json.loads(plan(*options, "--model", "Qwen3-8B").stdout)["models"][0]
    assert own["model"] == "my-model"
    assert (own["weights_bytes"], own["turn_s"]) == (known["weights_bytes"], known["turn_s"])


def test_weights_that_llama_cpp_alone_reads_are_planned_on_it() -> None:
    done = plan("--machine", "m3-ultra-256", "--model", "Qwen3-8B", "--quantisation", "Q4_K_M")
    assert "Q4_K_M: m3-ultra-256, on llama.cpp" in done.stdout


def test_an_engine_without_published_speeds_is_trusted_less() -> None:
    options = ("--machine", "rtx-3090", "--model", "Qwen3-32B")
    assert "None of those speeds is vLLM's" in plan(*options, "--machine", "rtx-3090").stdout
    assert "None of those speeds" not in plan(*options).stdout


def test_a_count_that_was_ended_says_so() -> None:
    options = ("--machine", "m3-ultra-512", "--model", "gpt-oss-20b")
    assert "1,024 or more of 1,024 tokens" in plan(*options, "--context", "1024").stdout


def test_what_a_config_leaves_open_is_said(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    body = dict(known_model("Qwen3-Coder-30B-A3B"))
    del body["num_experts_per_tok"]
    file.write_text(json.dumps(body))
    options = ("--machine", "m3-ultra-256", "--config", str(file))
    assert (
        "Not certain: num_experts_per_tok is missing: every expert is counted as active."
        in plan(*options).stdout
    )
    assert len(json.loads(plan(*options, "--json").stdout)["models"][0]["doubts"]) == 1
    assert "Not certain" not in plan("--machine", "m3-ultra-256", "--model", "Qwen3-Coder-30B-A3B").stdout


def test_a_packing_told_beside_the_text_fields_counts(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    text = {**known_model("Qwen3-8B"), "quantization_config": {"quant_method": "fp8"}}
    file.write_text(json.dumps({"text_config": text}))
    done = plan("--machine", "m3-ultra-256", "--config", str(file), "--json")
    assert json.loads(done.stdout)["models"][0]["quantisation"] == "as published"


def test_cards_of_one_machine_are_named_by_their_number() -> None:
    done = plan("--machine", "2*rtx-3090", "--model", "Qwen3-32B", "--sessions", "2")
    assert "2*rtx-3090, on llama.cpp" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--machine", "rtx3090", "--model", "Qwen3-8B"), "rtx-3090"),
        (("--machine", "x*rtx-3090", "--model", "Qwen3-8B"), "2*rtx-3090"),
        (("--machine", "rtx-3090", "--model", "Qwen4-8B"), "Qwen3-8B"),
        (("--machine", "rtx-3090", "--model", "Qwen3-8B", "--link", "5gbe"), "2.5gbe"),
        (("--machine", "rtx-3090", "--model", "Qwen3-8B", "--kv", "q5"), "q8_0"),
        (("--machine", "rtx-3090", "--model", "Qwen3-8B", "--quantisation", "q9"), "--quantisation: 'q9'"),
        (("--machine", "²*rtx-3090", "--model", "Qwen3-8B"), "2*rtx-3090"),
        (("--machine", "0*rtx-3090", "--model", "Qwen3-8B"), "2*rtx-3090"),
        (("--machine", "17*rtx-3090", "--model", "Qwen3-8B"), "16 or fewer"),
        (("--machine", "2*m3-ultra-256", "--model", "Qwen3-8B"), "several times"),
        (("-M", "rtx-3090", "-M", "rtx-3090", "-m", "Qwen3-8B", "--link", "pcie"), "10gbe"),
        (("--machine", "rtx-3090", "--model", "Qwen3-8B", "--sessions", "1025"), "--sessions"),
        (("--machine", "rtx-3090", "--config", "/no/such/file"), "--config"),
        (("--model", "Qwen3-8B"), "--machine"),
        (("--machine", "rtx-3090"), "--model"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(options: tuple[str, ...], words: str) -> None:
    done = plan(*options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.44, "0.4 s"), (12, "12 s"), (115, "1 min 55 s"), (863, "14 min"), (7560, "2.1 h")],
)
def test_times_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert time_words(seconds) == words
