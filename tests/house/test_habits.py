"""Habits that no linter knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("cluster", "actors", "protos", "tests", "bench", "examples", "dashboards")
MAX_LINES = 350
# Written in two halves, so that this file does not find itself.
UNWANTED = {
    "mock" + ".patch": "use a fake that ships with the product",
    "TO" + "DO": "do it or leave it out",
}


def sources() -> Iterator[Path]:
    root = Path(__file__).parents[2]
    for folder in FOLDERS:
        yield from (path for path in root.glob(f"{folder}/**/*.py") if "_pb2" not in path.name)


def test_files_stay_small() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in sources()}
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES}


@pytest.mark.parametrize("word", UNWANTED)
def test_unwanted_words_stay_out(word: str) -> None:
    found = [str(path) for path in sources() if re.search(rf"\b{re.escape(word)}\b", path.read_text())]
    assert not found, UNWANTED[word]
