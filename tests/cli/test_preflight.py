"""What cannot work is said before anything starts, with the remedy, and leaves nothing behind."""

import os
import socket
from pathlib import Path

import pytest

from cluster.config import HearthConfig, ModelConfig, parse
from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind, NodeFacts
from cluster.core.memory.usable import NodeMemory
from cluster.doctor.check import Verdict
from cluster.doctor.machine import check_disk, check_python
from cluster.doctor.models import check_model, check_models
from cluster.doctor.ports import check_port
from cluster.doctor.preflight import preflight
from tests.cli.hearth import Hearth, free_ports

GIB = 2**30
PLENTY = NodeMemory(32 * GIB, 16 * GIB)


def _config(**gateway: int) -> HearthConfig:
    http, grpc = free_ports(2)
    return HearthConfig.model_validate({"gateway": {"http_port": http, "grpc_port": grpc, **gateway}})


def test_this_machine_can_start_a_pool() -> None:
    assert preflight(_config(), PLENTY) == []


def test_a_taken_port_names_its_holder_and_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (problem,) = preflight(_config(http_port=port), PLENTY)
    assert f"Port {port} is taken by" in problem.detail
    assert f"(pid {os.getpid()})" in problem.detail
    assert "--port" in problem.remedy


def test_a_port_that_has_just_been_closed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    assert check_port(_config(http_port=port).gateway, "http_port").verdict is Verdict.OK


def test_one_port_cannot_serve_both() -> None:
    (port,) = free_ports(1)
    problems = preflight(_config(http_port=port, grpc_port=port), PLENTY)
    assert "both want port" in problems[0].detail


def test_too_little_memory_is_said_with_the_numbers() -> None:
    (problem,) = preflight(_config(), NodeMemory(2 * GIB, GIB // 2))
    assert "0.5 of 2.0 GiB free, but a pool takes 1.5 GiB" in problem.detail


def test_other_pythons_are_refused() -> None:
    assert [check_python(version).verdict for version in ((3, 10), (3, 11), (3, 13), (3, 14))] == [
        Verdict.FAIL,
        Verdict.OK,
        Verdict.OK,
        Verdict.FAIL,
    ]


def test_a_folder_that_is_not_there_yet_has_its_parents_disk(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "a/b").verdict is Verdict.OK


GUIDE = ModelConfig(name="guide", source="builtin:guide")


def _with_memory(num_bytes: int) -> NodeFacts:
    return NodeFacts(num_bytes, engines=frozenset({EngineKind.LLAMACPP}))


def test_the_guide_fits() -> None:
    assert check_model(GUIDE, _with_memory(4 * GIB)).verdict is Verdict.OK


def test_a_model_that_is_too_big_is_said_with_the_numbers() -> None:
    problem = check_model(GUIDE, _with_memory(64 * 2**20))
    assert problem.verdict is Verdict.FAIL
    assert "GiB" in problem.detail
    assert problem.remedy


def test_each_model_is_checked_for_itself_since_models_take_turns() -> None:
    config = HearthConfig(models=(GUIDE, GUIDE.model_copy(update={"name": "twin"})), guide=False)
    enough, too_little = _with_memory(GIB // 4), _with_memory(GIB // 16)
    assert [check.verdict for check in check_models(config, enough)] == [Verdict.OK, Verdict.OK]
    assert [check.verdict for check in check_models(config, too_little)] == [Verdict.FAIL, Verdict.FAIL]


def test_a_model_for_other_machines_does_not_keep_this_one_from_starting() -> None:
    elsewhere = GUIDE.model_copy(update={"where": {"kind": "rig"}})
    found = check_model(elsewhere, _with_memory(4 * GIB))
    assert found.verdict is Verdict.WARN
    assert "kind: rig" in found.detail


@pytest.fixture
def guide_bytes(repository: Path) -> bytes:
    return (repository / "cluster/models/guide.gguf").read_bytes()


def _page(tmp_path: Path, guide: bytes) -> Path:
    (tmp_path / "page.gguf").write_text("<!doctype html><title>Sign in</title>")
    return tmp_path / "page.gguf"


def _cut_short(tmp_path: Path, guide: bytes) -> Path:
    (tmp_path / "short.gguf").write_bytes(guide[: len(guide) // 2])
    return tmp_path / "short.gguf"


def _empty_folder(tmp_path: Path, guide: bytes) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize(
    ("make", "words"),
    [(_page, "not a GGUF"), (_cut_short, "short"), (_empty_folder, "no GGUF")],
)
def test_a_bad_model_ends_the_start_before_it_begins(
    hearth: Hearth, tmp_path: Path, guide_bytes: bytes, make: object, words: str
) -> None:
    assert callable(make)
    done = hearth.run("up", *hearth.ports, "--model", str(make(tmp_path, guide_bytes)))
    assert done.returncode == 2
    assert words in done.stderr
    assert "→" in done.stderr
    assert _left(hearth) == []


def test_a_missing_model_ends_the_start_before_it_begins(hearth: Hearth) -> None:
    answer = hearth.json("up", "--model", "/no/such/model.gguf")
    assert "there is no such file" in answer["error"]["problem"]
    assert answer["error"]["remedy"]
    assert _left(hearth) == []


def test_a_taken_port_ends_the_start_before_it_begins(hearth: Hearth) -> None:
    with socket.create_server(("127.0.0.1", hearth.grpc_port)):
        done = hearth.run("up", *hearth.ports)
    assert (done.returncode, "--grpc-port" in done.stderr) == (2, True)
    assert _left(hearth) == []


def _left(hearth: Hearth) -> list[str]:
    """What a refused start has written, but for the lock that it held."""
    return [path.name for path in hearth.home.rglob("*") if path.is_file() and path.name != "lock"]


def test_a_mistyped_field_is_named_as_it_was_written() -> None:
    with pytest.raises(InvalidField, match=r"models\[0\]\.nme: there is no such field"):
        parse({"models": [{"nme": "a", "source": "a.gguf"}]}, "hearth.yaml")
