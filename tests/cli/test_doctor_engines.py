"""`hearth doctor` tries the engines that models want, and says which models fit beside which."""

import json
import shutil
from pathlib import Path

import pytest

from bench.memory.gguf_kinds import KINDS, write
from cluster.config import HearthConfig, ModelConfig
from cluster.core.layout import EngineKind, NodeFacts
from cluster.doctor.check import Verdict
from cluster.doctor.engines import TRIALS, Trial, check_engine_kind, check_engines
from cluster.doctor.models import check_model, check_warm
from cluster.doctor.pool import check_replicas
from tests.cli.hearth import Hearth
from tests.support.checkpoints import random_hf

GIB = 2**30
GUIDE = ModelConfig(name="guide", source="builtin:guide", keep_warm=True)
TWIN = GUIDE.model_copy(update={"name": "twin"})
ABSENT = Trial("Absent", "no_such_module", ("none",), "", "make absent")
BROKEN = Trial("Broken", "json", ("pip",), "raise RuntimeError('no driver')", "make broken")
QUICK = Trial("Quick", "json", ("pip",), "print('Metal')", "make quick")


def facts(num_bytes: int) -> NodeFacts:
    return NodeFacts(num_bytes, engines=frozenset({EngineKind.LLAMACPP}))


def test_an_engine_that_is_not_installed_is_a_failure_only_where_a_model_asks_for_it() -> None:
    assert check_engine_kind(ABSENT, is_wanted=True, is_named=False).verdict is Verdict.OK
    asked = check_engine_kind(ABSENT, is_wanted=True, is_named=True)
    assert (asked.verdict, asked.remedy) == (Verdict.FAIL, "Install it: make absent")


def test_an_engine_that_does_not_run_is_told_with_its_own_words() -> None:
    broken = check_engine_kind(BROKEN, is_wanted=True, is_named=True)
    assert broken.verdict is Verdict.FAIL
    assert "is installed but does not run: RuntimeError: no driver" in broken.detail


def test_an_engine_that_runs_says_on_what() -> None:
    assert check_engine_kind(QUICK, is_wanted=True, is_named=False).detail.endswith("computes on Metal")


def test_only_engines_that_a_model_could_use_are_tried() -> None:
    config = HearthConfig(models=(ModelConfig(name="a", source="/models/a.gguf"),))
    found = {check.name: check for check in check_engines(config)}
    assert found.keys() == {"Engine vLLM", "Engine MLX"}
    assert all("computes" not in check.detail for check in found.values())


@pytest.mark.needs_mlx
def test_mlx_really_computes_here() -> None:
    found = check_engine_kind(TRIALS[EngineKind.MLX], is_wanted=True, is_named=True)
    assert found.verdict is not Verdict.FAIL
    assert "computes on" in found.detail


@pytest.mark.needs_vllm
def test_vllm_really_computes_here() -> None:
    found = check_engine_kind(TRIALS[EngineKind.VLLM], is_wanted=True, is_named=True)
    assert found.verdict is not Verdict.FAIL, found.detail
    assert "computes on" in found.detail


def test_a_model_that_fits_is_told_in_numbers() -> None:
    detail = check_model(GUIDE, facts(4 * GIB)).detail
    assert "on llamacpp in 0." in detail
    assert "GiB of 4.0 GiB, room for" in detail


def test_fewer_checkpoints_than_usual_are_told(tmp_path: Path) -> None:
    source = write(tmp_path / "m.gguf", KINDS["sliding windows"])
    wanted = ModelConfig(name="m", source=str(source))
    assert "in 1 slot, 1 checkpoint a slot (usually 3)" in check_model(wanted, facts(225 * 2**20)).detail
    assert "checkpoint" not in check_model(wanted, facts(GIB)).detail


def test_a_model_whose_files_leave_something_open_is_told_what_was_assumed(tmp_path: Path) -> None:
    shutil.copytree(random_hf(), tmp_path / "m")
    told = tmp_path / "m" / "config.json"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"kv_folding_factor": 2}))
    wanted = ModelConfig(name="m", source=str(tmp_path / "m"))
    home = NodeFacts(4 * GIB, engines=frozenset({EngineKind.MLX}))
    assert "not certain of its KV memory: kv_folding_factor is not known" in check_model(wanted, home).detail
    assert "not certain" not in check_model(GUIDE, facts(4 * GIB)).detail


def test_models_that_are_kept_warm_have_to_fit_together() -> None:
    both = HearthConfig(models=(GUIDE, TWIN))
    (fitting,) = check_warm(both, facts(4 * GIB))
    assert (fitting.verdict, "are left" in fitting.detail) == (Verdict.OK, True)
    (short,) = check_warm(both, facts(GIB // 8))
    assert short.verdict is Verdict.WARN
    assert "twin does not fit beside guide" in short.detail
    assert check_warm(HearthConfig(models=(GUIDE,)), facts(GIB // 8)) == []


def model(**fields: object) -> dict[str, object]:
    told = {"model": "m", "state": "unloaded", "fits": True, "wanted": False, "reason": "", "stage": ""}
    return {**told, "num_replicas": 0, "window_tokens": 0, **fields}


def test_a_model_that_is_not_loaded_is_well_and_one_that_fits_nowhere_is_not() -> None:
    view = {
        "models": [
            model(),
            model(wanted=True, stage="reading weights", state="loading"),
            model(fits=False, reason="m fits nowhere: it needs 90 GiB."),
        ]
    }
    checks = check_replicas(view)
    assert [check.verdict for check in checks] == [Verdict.OK, Verdict.WARN, Verdict.FAIL]
    assert checks[2].detail == "m fits nowhere: it needs 90 GiB."


def test_the_command_lists_the_engines(hearth: Hearth) -> None:
    names = {check["name"] for check in hearth.json("doctor")["checks"]}
    assert {"Engine", "Engine vLLM", "Engine MLX"} <= names
