"""Weights that lie on this disk already: GGUF files and MLX folders where other programs keep them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

GGUF_MAGIC = b"GGUF"
MAX_FOUND = 100
MAX_FILES = 20_000
MAX_DEPTH = 6
PROJECTOR = "mmproj"
"""How the image part of a model is named; it is no model by itself."""


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """`kind`: `gguf` or `mlx`.  `path`: what `hearth up --model` takes."""

    kind: str
    name: str
    path: Path
    size_bytes: int


def usual_folders(user: Path) -> list[Path]:
    """Where the programs of one user keep their weights."""
    return [
        user / ".cache/huggingface/hub",
        user / ".lmstudio/models",
        user / ".cache/lm-studio/models",
        user / ".cache/llama.cpp",
        user / "Library/Caches/llama.cpp",
        user / "models",
    ]


def find_weights(user: Path) -> list[FoundWeights]:
    """Everything in the usual folders, by name.  Reads no more of a file than its first bytes."""
    files = [path for folder in usual_folders(user) for path in _files(folder)]
    found = [*_ollama(user / ".ollama/models"), *_gguf(files), *_mlx(files)]
    unique = {weights.path.resolve(): weights for weights in reversed(found)}
    return sorted(unique.values(), key=lambda weights: weights.name)[:MAX_FOUND]


def _files(folder: Path) -> list[Path]:
    walk = (
        Path(parent, name)
        for parent, folders, names in os.walk(folder)
        for name in (names if _descend(folder, parent, folders) else ())
    )
    return list(islice(walk, MAX_FILES))


def _descend(root: Path, parent: str, folders: list[str]) -> bool:
    if len(Path(parent).relative_to(root).parts) >= MAX_DEPTH:
        folders.clear()
    return True


def _gguf(files: list[Path]) -> Iterator[FoundWeights]:
    for path in files:
        first_part = "-of-" not in path.stem or "-00001-of-" in path.stem
        if path.suffix == ".gguf" and first_part and PROJECTOR not in path.name and is_gguf(path):
            yield FoundWeights("gguf", path.stem, path, path.stat().st_size)


def is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(GGUF_MAGIC)) == GGUF_MAGIC
    except OSError:
        return False


def _mlx(files: list[Path]) -> Iterator[FoundWeights]:
    """Folders of safetensors beside a config.json that MLX has quantised."""
    for config in (path for path in files if path.name == "config.json"):
        weights = list(config.parent.glob("*.safetensors"))
        if weights and "quantization" in _read_json(config):
            size = sum(path.stat().st_size for path in weights)
            yield FoundWeights("mlx", _folder_name(config.parent), config.parent, size)


def _folder_name(folder: Path) -> str:
    """`org/repo` of a hub snapshot, else the folder's own name."""
    hub = next((part for part in reversed(folder.parts) if part.startswith("models--")), None)
    return hub.removeprefix("models--").replace("--", "/") if hub else folder.name


def _ollama(models: Path) -> Iterator[FoundWeights]:
    """Ollama's blobs, named by the manifests that point at them."""
    library = models / "manifests"
    for manifest in _files(library):
        for layer in _read_json(manifest).get("layers", ()):
            if isinstance(layer, dict) and str(layer.get("mediaType", "")).endswith("image.model"):
                blob = models / "blobs" / str(layer.get("digest", "")).replace(":", "-")
                if is_gguf(blob):
                    name = f"{manifest.parent.name}:{manifest.name}"
                    yield FoundWeights("gguf", name, blob, blob.stat().st_size)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
