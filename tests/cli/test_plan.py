"""From options, file and discoveries to the config that a pool starts with."""

from pathlib import Path

import pytest

from cluster.cli.plan import Wishes, make_plan, model_config, model_name, upstream
from cluster.cli.terminal import CommandFailed
from cluster.config import HTTP_PORT, UpstreamConfig
from cluster.core.errors import InvalidField
from cluster.inventory.engines import FoundEngine, FoundModel

OLLAMA = FoundEngine(
    "ollama",
    "http://127.0.0.1:11434/v1",
    (FoundModel("llama3.2:latest", True), FoundModel("gpt-oss:120b-cloud", False)),
)


def _nobody() -> list[FoundEngine]:
    return []


def test_nothing_asked_and_nothing_there_is_the_guide(tmp_path: Path) -> None:
    plan = make_plan(Wishes(), tmp_path, tmp_path, _nobody)
    assert (plan.config.guide, plan.config.models, plan.config.gateway.http_port) == (True, (), HTTP_PORT)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "hearth.yaml").write_text("gateway: {http_port: 9000, grpc_port: 9001}\nguide: false\n")
    plan = make_plan(Wishes(http_port=9500), tmp_path, tmp_path, _nobody)
    gateway = plan.config.gateway
    assert (gateway.http_port, gateway.grpc_port, plan.config.guide) == (9500, 9001, False)


def test_a_model_on_disk_is_named_for_its_file(tmp_path: Path) -> None:
    path = tmp_path / "Qwen3 8B (Q4_K_M).gguf"
    path.write_bytes(b"GGUF")
    plan = make_plan(Wishes(models=(str(path),)), tmp_path, tmp_path, _nobody)
    assert [(model.name, model.source) for model in plan.config.models] == [
        ("qwen3-8b-q4_k_m", str(path)),
    ]


def test_a_model_of_the_hub(tmp_path: Path) -> None:
    model = model_config("Qwen/Qwen3-8B-GGUF", tmp_path)
    assert (model.name, model.source) == ("qwen3-8b-gguf", "hf:Qwen/Qwen3-8B-GGUF")


def test_a_file_of_the_hub(tmp_path: Path) -> None:
    assert model_config("o/r:sub/m.gguf", tmp_path).source == "hf:o/r:sub/m.gguf"


def test_weights_that_another_program_keeps_go_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "models/llama3.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    assert model_config("llama3", tmp_path).source == str(path)


@pytest.mark.parametrize(
    "wish", ["nothing-here.gguf", "./models/qwen.gguf", "models/qwen.gguf", "/no/such/file.gguf", "qwen"]
)
def test_a_file_that_is_missing_is_said_to_be(tmp_path: Path, wish: str) -> None:
    with pytest.raises(CommandFailed, match="there is no such file") as caught:
        model_config(wish, tmp_path)
    assert caught.value.status == 2
    assert caught.value.remedy


def test_an_engine_that_runs_becomes_an_upstream(tmp_path: Path) -> None:
    plan = make_plan(Wishes(), tmp_path, tmp_path, lambda: [OLLAMA])
    assert plan.added == (OLLAMA,)
    assert plan.config.upstreams == (
        UpstreamConfig(name="ollama", url=OLLAMA.url, local_models=("llama3.2:latest",)),
    )


def test_an_engine_that_is_written_down_is_not_added_again(tmp_path: Path) -> None:
    (tmp_path / "hearth.yaml").write_text("upstreams: [{name: mine, url: 'http://localhost:11434/v1/'}]\n")
    plan = make_plan(Wishes(), tmp_path, tmp_path, lambda: [OLLAMA])
    assert ([entry.name for entry in plan.config.upstreams], plan.added) == (["mine"], ())


def test_discovery_can_be_left_out(tmp_path: Path) -> None:
    assert make_plan(Wishes(discover=False), tmp_path, tmp_path, lambda: [OLLAMA]).added == ()


def test_what_an_engine_tells_of_itself_is_kept() -> None:
    engine = FoundEngine("llamacpp", "http://127.0.0.1:8080/v1", (FoundModel("m", True, 4096),), slots=2)
    assert (upstream(engine).max_concurrency, upstream(engine).context_tokens) == (2, 4096)
    assert upstream(OLLAMA).context_tokens is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modles: []", "modles"),
        ("models: [{name: a}]", "source"),
        ("models: [{name: a, source: x}, {name: a, source: y}]", "twice"),
        ("gateway: {http_port: 99999}", "gateway.http_port"),
        ("gateway: {host: 0.0.0.0}", "gateway.host"),
        ("models: [", "not YAML"),
    ],
)
def test_a_wrong_config_names_the_field(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "hearth.yaml"
    file.write_text(text)
    with pytest.raises(InvalidField) as caught:
        make_plan(Wishes(config=file), tmp_path, tmp_path, _nobody)
    assert words in str(caught.value)


def test_a_config_file_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidField, match="is not a file"):
        make_plan(Wishes(config=tmp_path / "none.yaml"), tmp_path, tmp_path, _nobody)


@pytest.mark.parametrize("text", ["", "***", "ä" * 200, "A" * 300])
def test_any_file_name_makes_a_valid_model_name(text: str) -> None:
    name = model_name(text)
    assert UpstreamConfig(name=name, url="http://x").name == name
