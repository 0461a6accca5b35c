"""What a model's files say is read before anything is loaded, and without bringing weights here."""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest

from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, NodeFacts, Variant, WeightsFormat
from cluster.core.plan import plan
from cluster.deployments import gguf_file, hf_files, mlx_families, sizing
from cluster.deployments.engine import EngineFault, Loading
from cluster.deployments.spec import laid_out
from cluster.deployments.wish import wish_of
from cluster.models.tiny import Shape
from tests.support.checkpoints import random_hf
from tests.support.hub import Hub, serving
from tests.support.tiny_gguf import tiny_gguf

QWEN = {
    "model_type": "qwen3",
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "head_dim": 128,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "dtype": "bfloat16",
}


def variants(source: Path | str, **settings: object) -> tuple[Variant, ...]:
    return wish_of(ModelConfig.model_validate({"name": "m", "source": str(source), **settings})).variants


def safetensors(dtype: str, shape: list[int], num_bytes: int) -> bytes:
    header = json.dumps(
        {"w.weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, num_bytes]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(num_bytes)


def folder_of(path: Path, config: object, weights: bytes) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(weights)
    return path


def test_a_gguf_tells_its_size_its_shape_and_its_weights() -> None:
    (one,) = variants(tiny_gguf())
    file = gguf_file.read(tiny_gguf())
    assert (one.format, one.quantisation) == (WeightsFormat.GGUF, "f32")
    assert one.weights_bytes == file.num_bytes
    assert one.kv_token_bytes == 4 * 2 * (32 + 32) * 2
    assert one.bits_per_weight == pytest.approx(32, rel=0.01)


def test_the_guide_is_named_as_every_machine_knows_it() -> None:
    (guide,) = variants("builtin:guide")
    assert guide.source == "builtin:guide"


def test_each_quantisation_of_a_folder_is_a_variant_with_all_its_parts(tmp_path: Path) -> None:
    for name in ("M-8B-Q4_K_M.gguf", "M-8B-Q8_0-00001-of-00002.gguf", "M-8B-Q8_0-00002-of-00002.gguf"):
        shutil.copy(tiny_gguf(), tmp_path / name)
    found = {one.quantisation: one for one in variants(tmp_path)}
    assert set(found) == {"q4_k_m", "q8_0"}
    assert found["q8_0"].weights_bytes == 2 * found["q4_k_m"].weights_bytes
    assert found["q8_0"].source.endswith("M-8B-Q8_0-00001-of-00002.gguf")
    (told,) = variants(tmp_path, quantisation="Q8_0")
    assert told == found["q8_0"]


@pytest.mark.parametrize(
    ("names", "settings", "words"),
    [
        (["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"], {}, r"2 models.*a-Q4_K_M.*Name one"),
        (["a-Q4_K_M.gguf", "a-Q8_0.gguf"], {"quantisation": "q6_k"}, r"no quantisation q6_k.*q4_k_m, q8_0"),
        (["a-Q8_0-00001-of-00002.gguf"], {}, r"not a-Q8_0-00002-of-00002.gguf.*missing"),
        (["readme.md"], {}, r"no GGUF"),
    ],
)
def test_a_folder_that_is_no_one_model_is_said_at_once(
    tmp_path: Path, names: list[str], settings: dict[str, str], words: str
) -> None:
    for name in names:
        shutil.copy(tiny_gguf(), tmp_path / name)
    with pytest.raises(EngineFault, match=words):
        variants(tmp_path, **settings)


def test_a_hugging_face_folder_tells_how_it_can_be_split(tmp_path: Path) -> None:
    (one,) = variants(folder_of(tmp_path / "m", QWEN, safetensors("BF16", [1024, 512], 2**20)))
    assert (one.format, one.quantisation) == (WeightsFormat.SAFETENSORS, "bf16")
    assert (one.num_params, one.bits_per_weight) == (2**19, pytest.approx(16, rel=0.01))
    assert one.kv_token_bytes == 36 * 8 * 128 * 2 * 2
    assert one.window_tokens == 40960
    assert one.tensor_parallel == (1, 2, 4, 8, 16)
    assert one.pipeline_parallel[-1] == 16
    assert (one.mlx_tensor, one.mlx_pipeline) == (True, False)


@pytest.mark.parametrize(
    ("told", "ranks"),
    [
        ({"intermediate_size": [12_288, 6_144]}, (1, 2, 4, 8, 16)),  # Gemma 3n tells one for each layer
        ({"intermediate_size": [12_288, 6_146]}, (1, 2)),
        ({"quantization_config": {"quant_method": "compressed-tensors", "config_groups": None}}, None),
        ({"quantization_config": {"config_groups": {"group_0": {"weights": None}}, "bits": None}}, None),
        ({"num_attention_heads": None, "n_head": 24, "num_key_value_heads": 1}, (1, 2, 3, 4, 6, 8, 12)),
        ({"mamba_n_heads": 24}, (1, 2, 4, 8)),
    ],
)
def test_a_folder_is_read_however_its_fields_are_written(
    tmp_path: Path, told: dict[str, object], ranks: tuple[int, ...] | None
) -> None:
    (one,) = variants(folder_of(tmp_path / "m", QWEN | told, safetensors("BF16", [8, 8], 128)))
    assert one.tensor_parallel == (ranks or (1, 2, 4, 8, 16))


def test_a_model_that_makes_vectors_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", QWEN, safetensors("BF16", [8, 8], 128))
    assert not variants(folder)[0].embeds
    (folder / "modules.json").write_text("[]")
    assert variants(folder)[0].embeds
    assert not variants(tiny_gguf())[0].embeds
    assert variants(tiny_gguf(Shape(pooling=gguf.PoolingType.MEAN)))[0].embeds


def test_a_model_with_eyes_has_its_numbers_a_level_deeper(tmp_path: Path) -> None:
    config = {"model_type": "some_vl", "text_config": QWEN}
    (one,) = variants(folder_of(tmp_path / "m", config, safetensors("BF16", [8, 8], 128)))
    assert one.kv_token_bytes == 36 * 8 * 128 * 2 * 2
    assert one.quantisation == "bf16"


@pytest.mark.parametrize(
    ("quantised", "dtype", "format", "name"),
    [
        ({"quantization": {"bits": 4, "group_size": 64}}, "U32", WeightsFormat.MLX, "4bit"),
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4}},
            "I32",
            WeightsFormat.SAFETENSORS,
            "awq",
        ),
        ({"quantization_config": {"quant_method": "fp8"}}, "F8_E4M3", WeightsFormat.SAFETENSORS, "fp8"),
    ],
)
def test_packed_weights_are_counted_as_what_they_stand_for(
    tmp_path: Path, quantised: dict[str, object], dtype: str, format: WeightsFormat, name: str
) -> None:
    packed = 8 if dtype.endswith("32") else 1
    shape, num_bytes = [64, 1024 // packed], 64 * 1024 // (2 if packed == 8 else 1)
    (one,) = variants(folder_of(tmp_path / "m", QWEN | quantised, safetensors(dtype, shape, num_bytes)))
    assert (one.format, one.quantisation, one.num_params) == (format, name, 64 * 1024)


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        (QWEN | {"num_hidden_layers": None}, safetensors("BF16", [8, 8], 128), "num_hidden_layers"),
        (QWEN, safetensors("BF16", [8, 8], 128)[:-1], "cut short"),
        (QWEN, b"<!doctype html><title>Sign in</title>", "damaged"),
        ([], safetensors("BF16", [8, 8], 128), "not a JSON object"),
    ],
)
def test_a_damaged_folder_is_said_at_once(tmp_path: Path, config: object, weights: bytes, words: str) -> None:
    with pytest.raises(EngineFault, match=words):
        variants(folder_of(tmp_path / "m", config, weights))


def test_a_folder_that_lacks_a_file_of_its_index_is_said_at_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", QWEN, safetensors("BF16", [8, 8], 128))
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EngineFault, match=r"lacks model-2\.safetensors"):
        variants(folder)


def test_the_fake_engine_says_itself_what_it_holds() -> None:
    (one,) = variants("none", engine="fake", fake={"memory_bytes": 2**30, "window_tokens": 4096})
    assert (one.format, one.weights_bytes, one.window_tokens) == (WeightsFormat.NONE, 2**30, 4096)


@pytest.mark.parametrize("models_bytes", [2**28, 2**28 + 12_345, 2**30 + 1, 5 * 10**9])
@pytest.mark.parametrize("settings", [{}, {"context_tokens": 4096}, {"kv_type": "q8_0", "slots": 1}])
def test_llama_cpp_takes_the_context_and_the_bytes_that_were_planned(
    models_bytes: int, settings: dict[str, object]
) -> None:
    config = ModelConfig.model_validate({"name": "m", "source": str(tiny_gguf()), **settings})
    node, facts = NodeId("a"), NodeFacts(models_bytes, engines=frozenset({EngineKind.LLAMACPP}))
    layout = plan(wish_of(config), {node: facts}, {node: models_bytes})
    assert isinstance(layout, Layout), layout
    file = gguf_file.read(tiny_gguf())
    taken = sizing.plan(file, file.num_bytes, layout.memory_bytes, laid_out(config, layout), 512)
    assert (taken.kv_tokens, taken.window_tokens) == (layout.context_tokens, layout.window_tokens)
    assert taken.num_slots == layout.num_slots


def packed_config(folder: Path) -> bytes:
    config = json.loads((folder / "config.json").read_text())
    return json.dumps(config | {"quantization": {"bits": 4, "group_size": 64}}).encode()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    tiny, whole = tiny_gguf().read_bytes(), random_hf()
    repositories = {
        "home/many": {"many-Q4_K_M.gguf": tiny, "q8/many-Q8_0.gguf": tiny + bytes(1000), "README.md": b"#"},
        "home/whole": {path.name: path.read_bytes() for path in whole.iterdir()} | {"picture.png": b"p"},
        "home/split": {f"split-Q8_0-0000{part}-of-00002.gguf": tiny for part in (1, 2)},
        "home/packed": {"config.json": packed_config(whole), "model.safetensors": bytes(4096)},
    }
    with serving(repositories) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def here(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and "snapshots" in path.parts}


def test_a_hubs_quantisations_are_known_without_bringing_one(hub: Hub, tmp_path: Path) -> None:
    small, large = sorted(variants("hf:home/many"), key=lambda one: one.weights_bytes)
    assert (small.source, large.source) == ("hf:home/many:many-Q4_K_M.gguf", "hf:home/many:q8/many-Q8_0.gguf")
    assert large.weights_bytes == small.weights_bytes + 1000
    assert small.kv_token_bytes == variants(tiny_gguf())[0].kv_token_bytes
    assert here(tmp_path) == set()


def test_one_file_of_a_hub_is_one_variant(hub: Hub) -> None:
    (one,) = variants("hf:home/many:q8/many-Q8_0.gguf")
    assert one.quantisation == "q8_0"
    with pytest.raises(EngineFault, match=r"many-Q2_K\.gguf is not there"):
        variants("hf:home/many:many-Q2_K.gguf")


def test_the_weights_of_all_parts_are_counted_from_the_first(hub: Hub) -> None:
    (one,) = variants("hf:home/split")
    assert one.num_params == 2 * variants(tiny_gguf())[0].num_params


def test_a_hubs_safetensors_are_known_from_their_config(hub: Hub, tmp_path: Path) -> None:
    (one,) = variants("hf:home/whole")
    (same,) = variants(random_hf())
    assert (one.weights_bytes, one.kv_token_bytes) == (same.weights_bytes, same.kv_token_bytes)
    assert one.tensor_parallel == same.tensor_parallel
    assert "model.safetensors" not in here(tmp_path)


def test_the_weights_of_a_packed_model_are_counted_from_its_config(hub: Hub) -> None:
    """Its size does not tell: scales, and what is not packed, are in it."""
    (one,) = variants("hf:home/packed")
    (whole,) = variants(random_hf())
    assert one.num_params == pytest.approx(whole.num_params, rel=0.01)
    assert one.shares is not None


def test_all_files_of_a_hubs_model_come_once_with_progress(hub: Hub) -> None:
    told: list[Loading] = []
    folder = hf_files.find_folder("hf:home/whole", told.append)
    assert {path.name for path in folder.iterdir()} == {path.name for path in random_hf().iterdir()}
    fractions = [loading.fraction or 0.0 for loading in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    asked = len(hub.asked)
    assert hf_files.find_folder("hf:home/whole", told.append) == folder
    assert variants("hf:home/whole")
    assert len(hub.asked) == asked, "what is here already is used without asking"


def test_a_folder_without_a_model_is_no_folder_to_load(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match=r"config\.json and \.safetensors"):
        hf_files.find_folder(str(tmp_path), lambda _: None)


@pytest.mark.needs_mlx
@pytest.mark.parametrize(
    "kind", ["llama", "qwen2", "qwen3", "qwen3_moe", "gpt_oss", "deepseek_v3", "glm4_moe"]
)
def test_the_table_of_what_mlx_can_split_is_right(kind: str) -> None:
    from importlib import import_module

    module = import_module(f"mlx_lm.models.{kind}")
    pipelines = any(hasattr(each, "pipeline") for each in vars(module).values() if isinstance(each, type))
    assert mlx_families.can_split({"model_type": kind}) == (hasattr(module.Model, "shard"), pipelines)
