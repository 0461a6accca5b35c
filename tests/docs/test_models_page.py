"""The examples of docs/models.md are what the planner's tests see."""

import re
from pathlib import Path

import pytest

from cluster.core.footprint import Run, rank_footprint
from cluster.core.layout import EngineKind
from tests.core.known_homes import GIB
from tests.core.test_plan import GOLDEN
from tests.core.test_slots import GEMMA

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text()
NAMES = {"llamacpp": "llama.cpp", "vllm": "vLLM", "mlx": "MLX"}


@pytest.mark.parametrize("case", GOLDEN)
def test_an_example_says_what_is_chosen(case: str) -> None:
    (line,) = (line for line in PAGE.splitlines() if f": {case} |" in line)
    engine, *_, tokens = GOLDEN[case][2].split()
    assert NAMES[engine] in line
    assert f"{int(tokens):,} tokens" in line
    for kind, number in re.findall(r"(tp|pp)(\d+)", GOLDEN[case][2]):
        words = {"tp": "tensor", "pp": "pipeline"}[kind] + f" parallel {number}"
        assert number == "1" or words in line or f"{number} ranks" in line


def test_the_table_of_slots_says_what_is_estimated() -> None:
    rows = [
        line.split("|")[2:-1]
        for line in PAGE.splitlines()
        if line.startswith(("| slots, checkpoints", "| GiB"))
    ]
    assert len(rows[0]) == len(rows[1]) == 7
    for pair, gib in zip(*rows, strict=True):
        num_slots, num_checkpoints = map(int, pair.split(","))
        run = Run(EngineKind.LLAMACPP, 8192, num_slots=num_slots, num_checkpoints=num_checkpoints)
        assert float(gib) == round(rank_footprint(GEMMA, run).num_bytes / GIB, 1)
