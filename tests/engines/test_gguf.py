"""What is read from a model's file, and what is said of a file that is no model."""

import struct
import time
from pathlib import Path

import pytest

from cluster.config import ModelConfig
from cluster.core.memory.cache import Keeping, kv_token_bytes
from cluster.core.memory.shape import Attention
from cluster.deployments import gguf_file, partials, sizing, sources
from cluster.deployments.engine import EngineFault, Loading
from cluster.deployments.llamacpp_model import load_model
from cluster.models import tiny
from tests.support.tiny_gguf import CALM, Shape, tiny_gguf

GIB = 2**30
FOX = "🦊".encode()


def ignore(_: Loading) -> None:
    pass


def model(path: Path, **chosen: object) -> ModelConfig:
    return ModelConfig.model_validate({"name": "tiny", "source": str(path), **chosen})


def test_a_header_tells_what_memory_the_model_needs() -> None:
    file = gguf_file.read(tiny_gguf())
    assert sizing.shape(file).layers == ((Attention(2, 32, 32),),) * 4
    assert sizing.model_window(file) == CALM.window
    assert "<|im_start|>" in file.control_tokens
    assert "<tool_call>" not in file.control_tokens


@pytest.mark.parametrize(("kind", "expected"), [("f32", 2048), ("f16", 1024), ("q8_0", 544), ("q4_0", 288)])
def test_kv_memory_is_known_to_the_byte(kind: str, expected: int) -> None:
    shape = sizing.shape(gguf_file.read(tiny_gguf()))
    assert kv_token_bytes(shape, Keeping(kind)) == expected  # ty: ignore[invalid-argument-type]


def test_a_vocabulary_of_150000_tokens_is_read_in_a_moment(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "big.gguf", Shape(layers=1, width=32, hidden=32, extra_tokens=150_000))
    started = time.perf_counter()
    file = gguf_file.read(path)
    assert time.perf_counter() - started < 1.0
    assert len(file.tokens) > 150_000


@pytest.mark.parametrize("keep_bytes", [5, 20, 200, 5_000, -1])
def test_a_file_that_is_cut_short_says_so(tmp_path: Path, keep_bytes: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf().read_bytes()[:keep_bytes])
    with pytest.raises(EngineFault, match=r"cut\.gguf is cut short.*Download it again"):
        gguf_file.read(path)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\x03\x04 something"])
def test_a_file_that_is_no_gguf_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineFault, match=r"page\.gguf is not a GGUF"):
        gguf_file.read(path)


def test_an_unknown_version_says_which_are_known(tmp_path: Path) -> None:
    path = tmp_path / "new.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", 9) + tiny_gguf().read_bytes()[8:])
    with pytest.raises(EngineFault, match="version 9; Hearth reads 2 and 3"):
        gguf_file.read(path)


def test_a_base_model_without_a_template_is_refused() -> None:
    with pytest.raises(EngineFault, match=r"no chat template.*instruct"):
        load_model(model(tiny_gguf(Shape(template=None))), GIB, ignore)


def test_little_models_get_as_many_tokens_as_their_slots_can_use() -> None:
    plan = load_model(model(tiny_gguf()), 8 * GIB, ignore).plan
    assert (plan.num_slots, plan.kv_tokens, plan.window_tokens) == (4, 4 * 4096, 4096)
    assert plan.kv_bytes == plan.kv_tokens * 1024


def test_tokens_shrink_with_the_memory_that_is_free() -> None:
    plan = load_model(model(tiny_gguf()), 150 * 2**20, ignore).plan
    assert 256 <= plan.kv_tokens < 4 * 4096
    assert plan.kv_tokens % 256 == 0


@pytest.mark.parametrize("chosen", [{}, {"context_tokens": 4096}])
def test_too_little_memory_says_how_much_is_missing(chosen: dict[str, int]) -> None:
    with pytest.raises(EngineFault, match=r"needs 0\.\d\d GiB .* of 0\.01 GiB free.*kv_type"):
        load_model(model(tiny_gguf(), **chosen), 10 * 2**20, ignore)


def test_what_the_config_says_wins() -> None:
    plan = load_model(model(tiny_gguf(), context_tokens=1000, slots=2, kv_type="q8_0"), GIB, ignore).plan
    assert (plan.kv_tokens, plan.num_slots, plan.window_tokens) == (1024, 2, 1024)
    assert plan.kv_bytes == 1024 * 544


def test_of_a_folder_the_usual_quantisation_is_chosen(tmp_path: Path) -> None:
    for name in ("m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m.gguf", "notes.txt"):
        (tmp_path / name).touch()
    told: list[str] = []
    (found,) = sources.find(str(tmp_path), lambda loading: told.append(loading.stage))
    assert found.name == "m-Q4_K_M.gguf"
    assert told == ["found m-Q4_K_M.gguf"]


def test_of_a_folder_with_several_models_one_has_to_be_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(EngineFault, match=r"2 models .*a\.gguf, b\.gguf\. Name one"):
        sources.find(str(tmp_path), ignore)


def test_a_split_model_needs_all_its_parts(tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    first.touch()
    with pytest.raises(EngineFault, match="m-00002-of-00002"):
        sources.find(str(tmp_path), ignore)
    first.with_name("m-00002-of-00002.gguf").touch()
    assert [path.name[2:7] for path in sources.find(str(tmp_path), ignore)] == ["00001", "00002"]


def test_without_a_hub_the_remedy_comes_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for source in ("hf:someone/something", "hf:someone/something:model.gguf", "hf:no-name"):
        with pytest.raises(EngineFault, match="download the file and name its path"):
            sources.find(source, ignore)


def test_missing_pieces_of_a_character_are_found_where_there_is_one_way() -> None:
    pieces = partials.Partials({1: FOX[:2], 2: FOX[2:3], 3: FOX[3:], 4: b" " + FOX[:2]})
    assert pieces.find("🦊", last=3, missing=2) == (1, 2)
    assert pieces.find(" 🦊", last=3, missing=2) == (4, 2)
    assert pieces.find("🦊", last=3, missing=1) is None
    assert pieces.find("\ufffd", last=3, missing=2) is None


def test_two_ways_to_write_a_character_are_no_knowledge() -> None:
    pieces = partials.Partials({1: FOX[:1], 2: FOX[1:3], 3: FOX[3:], 4: FOX[:2], 5: FOX[2:3]})
    assert pieces.find("🦊", last=3, missing=2) is None


def test_an_unfinished_character_is_seen_over_several_tokens() -> None:
    pieces = partials.of_gguf(gguf_file.read(tiny_gguf()))
    assert pieces.unfinished(tuple(b"a" + FOX[:3])) == FOX[:3]
    assert pieces.unfinished(tuple(b"a" + FOX)) == b""
    assert pieces.unfinished(tuple(b"ab")) == b""
