"""Weights that lie on this disk already: GGUFs and folders of safetensors where other programs keep them."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

GGUF_MAGIC = b"GGUF"
MAX_FOUND = 100
MAX_FILES = 20_000
MAX_DEPTH = 6
WRITERS = ("ForCausalLM", "ForConditionalGeneration")
PROJECTOR = "mmproj"
"""How the image part of a model is named; it is no model by itself."""


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """`kind`: `gguf`, `mlx` (safetensors that MLX has quantised) or `safetensors`.  `path`: what
    `hearth up --model` takes."""

    kind: str
    name: str
    path: Path
    size_bytes: int


def usual_folders(user: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where the programs of one user keep their weights."""
    return [
        hub_cache(user, environment),
        user / ".lmstudio/models",
        user / ".cache/lm-studio/models",
        user / ".cache/llama.cpp",
        user / "Library/Caches/llama.cpp",
        user / "models",
    ]


def hub_cache(user: Path, environment: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it has fetched, by its own variables."""
    if cache := environment.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or str(user / ".cache")
    return Path(environment.get("HF_HOME") or Path(cache, "huggingface")).expanduser() / "hub"


def find_weights(user: Path, environment: Mapping[str, str] = os.environ) -> list[FoundWeights]:
    """Everything in the usual folders, by name.  Reads no more of a GGUF than its first bytes."""
    files = [path for folder in usual_folders(user, environment) for path in _files(folder)]
    found = [*_ollama(user / ".ollama/models"), *_gguf(files), *_safetensors(files)]
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


def _safetensors(files: list[Path]) -> Iterator[FoundWeights]:
    """Folders of safetensors beside the config.json of a model that writes."""
    for path in (path for path in files if path.name == "config.json"):
        weights, config = list(path.parent.glob("*.safetensors")), _read_json(path)
        if weights and _writes(config):
            kind = "mlx" if "quantization" in config else "safetensors"
            size = sum(path.stat().st_size for path in weights)
            yield FoundWeights(kind, _folder_name(path.parent), path.parent, size)


def _writes(config: dict[str, Any]) -> bool:
    """Whether it is no embedder, no classifier, no speech model; MLX's own need not say."""
    names = config.get("architectures")
    if not isinstance(names, list):
        return "quantization" in config
    return any(str(name).endswith(WRITERS) for name in names)


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
