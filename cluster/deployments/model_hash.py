"""What makes two replicas the same model: the bytes of its files, which hold weights, chat template and
tokenizer.  Hashed once a file: the result is kept under HEARTH_HOME until size or time of change differ."""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cluster.config import home

_CHUNK_BYTES = 8 * 1024 * 1024
_OF_FOLDERS = ("*.safetensors", "config.json", "tokenizer*", "generation_config.json", "*.jinja", "*.model")


def of_files(paths: Sequence[Path], kind: str = "gguf") -> str:
    """The hash of a model's files, in their order.  Reads them whole where it is not known yet.

    `kind`: what models of this sort are called in it; equal bytes of another kind are another model.
    """
    cache = home() / "cache" / "file_hashes.json"
    known = _load(cache)
    key = "|".join(map(_identity, paths))
    if key not in known:
        known[key] = _hash(paths)
        _save(cache, known)
    return f"{kind}:{known[key]}"


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"


def _hash(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def of_folder(folder: Path) -> str:
    """The hash of a folder of safetensors, the same whichever engine loads it."""
    found = {path for pattern in _OF_FOLDERS for path in folder.glob(pattern) if path.is_file()}
    return of_files(sorted(found), "hf")


def _load(cache: Path) -> dict[str, str]:
    try:
        return json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}


def _save(cache: Path, known: dict[str, str]) -> None:
    fresh = cache.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):  # a cache: without it the next start takes longer
        cache.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known, indent=1))
        fresh.replace(cache)
