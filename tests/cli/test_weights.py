"""Weights are found where other programs keep them, by content and not by name alone."""

import json
from pathlib import Path

from cluster.inventory import weights
from cluster.inventory.weights import FoundWeights

GGUF = b"GGUF" + bytes(96)


def find_weights(user: Path, **environment: str) -> list[FoundWeights]:
    return weights.find_weights(user, environment)


def _write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_in_the_models_folder(tmp_path: Path) -> None:
    path = _write(tmp_path / "models/qwen/qwen3-8b-q4.gguf", GGUF)
    (found,) = find_weights(tmp_path)
    assert (found.kind, found.name, found.path, found.size_bytes) == ("gguf", "qwen3-8b-q4", path, 100)


def test_what_only_has_the_name_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "models/page.gguf", b"<!doctype html>")
    _write(tmp_path / "models/mmproj-f16.gguf", GGUF)
    _write(tmp_path / "models/big-00002-of-00002.gguf", GGUF)
    first = _write(tmp_path / "models/big-00001-of-00002.gguf", GGUF)
    assert [each.path for each in find_weights(tmp_path)] == [first]


def test_ollama_blobs_get_their_names_from_the_manifests(tmp_path: Path) -> None:
    models = tmp_path / ".ollama/models"
    blob = _write(models / "blobs/sha256-abc", GGUF)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"},
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:def"},
    ]
    _write(models / "manifests/registry.ollama.ai/library/llama3.2/latest", json.dumps({"layers": layers}))
    (found,) = find_weights(tmp_path)
    assert (found.name, found.path) == ("llama3.2:latest", blob)


def test_a_cloud_model_of_ollama_has_no_weights(tmp_path: Path) -> None:
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/gpt-oss/120b-cloud"
    _write(manifest, json.dumps({"layers": []}))
    assert find_weights(tmp_path) == []


def test_mlx_folders_of_a_hub_cache_are_named_by_their_repository(tmp_path: Path) -> None:
    snapshot = tmp_path / ".cache/huggingface/hub/models--mlx-community--Qwen3-8B-4bit/snapshots/1a2b"
    _write(snapshot / "config.json", json.dumps({"quantization": {"bits": 4}}))
    _write(snapshot / "model.safetensors", bytes(10))
    (found,) = find_weights(tmp_path)
    assert (found.kind, found.name) == ("mlx", "mlx-community/Qwen3-8B-4bit")


def test_a_hub_file_that_is_linked_twice_is_found_once(tmp_path: Path) -> None:
    hub = tmp_path / ".cache/huggingface/hub/models--o--r"
    blob = _write(hub / "blobs/77", GGUF)
    for commit in ("a", "b"):
        link = hub / "snapshots" / commit / "m.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    assert len(find_weights(tmp_path)) == 1


def test_no_folder_is_no_weights(tmp_path: Path) -> None:
    assert find_weights(tmp_path) == []


def test_the_hubs_own_variables_say_where_its_cache_is(tmp_path: Path) -> None:
    for place in ("home/hub/a", "cache/b", "xdg/huggingface/hub/c"):
        _write(tmp_path / f"{place}.gguf", GGUF + place.encode())
    asked = {
        "HF_HOME": f"{tmp_path}/home",
        "HF_HUB_CACHE": f"{tmp_path}/cache",
        "XDG_CACHE_HOME": f"{tmp_path}/xdg",
    }
    assert [each.name for each in find_weights(tmp_path, **asked)] == ["b"]
    assert [each.name for each in find_weights(tmp_path, HF_HOME=asked["HF_HOME"])] == ["a"]
    assert [each.name for each in find_weights(tmp_path, XDG_CACHE_HOME=asked["XDG_CACHE_HOME"])] == ["c"]


def test_folders_of_safetensors_that_write_are_found_and_others_are_not(tmp_path: Path) -> None:
    kinds = {"qwen": "Qwen3ForCausalLM", "sees": "Gemma3ForConditionalGeneration", "bert": "BertModel"}
    for name, kind in kinds.items():
        _write(tmp_path / f"models/{name}/config.json", json.dumps({"architectures": [kind]}))
        _write(tmp_path / f"models/{name}/model.safetensors", bytes(10))
    found = find_weights(tmp_path)
    assert [(each.kind, each.name) for each in found] == [("safetensors", "qwen"), ("safetensors", "sees")]
