"""Which code made a result: a hash over everything that runs, so that no figure outlives its code."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("actors", "bench", "cluster", "protos", "serve_configs")
RESULTS = ROOT / "bench" / "results"


def code_hash(root: Path = ROOT) -> str:
    """SHA-256 over names and contents of product and bench; results and pages for people are left out."""
    digest = hashlib.sha256()
    for path in _files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not _is_left_out(path.relative_to(root)):
                yield path


def _is_left_out(path: Path) -> bool:
    return "__pycache__" in path.parts or path.parts[:2] == ("bench", "results") or path.suffix == ".md"
