"""The models of docs/memory.md are those that the estimator's tests know."""

import re
from pathlib import Path

from cluster.core.memory.cache import Keeping, session_bytes
from cluster.core.memory.config import shape_of_config
from tests.core.known_models import MODELS, KnownModel

PAGE = (Path(__file__).parents[2] / "docs/memory.md").read_text()
ROW = re.compile(r"^\| ([^|]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def row(known: KnownModel) -> tuple[str, ...]:
    shape = shape_of_config(known.config)
    sizes = (session_bytes(shape, Keeping(), tokens) / 2**30 for tokens in (32_768, 131_072))
    constant = f"{known.sequence_bytes / 2**20:.1f}" if known.sequence_bytes else "0"
    return f"{known.token_bytes:,}", constant, *(f"{size:.2f}" for size in sizes)


def test_each_model_of_the_page_takes_what_it_says() -> None:
    told = {name: tuple(numbers) for name, *numbers in ROW.findall(PAGE)}
    assert told == {name: row(known) for name, known in MODELS.items()}
