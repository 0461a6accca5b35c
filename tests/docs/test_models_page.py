"""The examples of docs/models.md are what the planner's tests see."""

import re
from pathlib import Path

import pytest

from tests.core.test_plan import GOLDEN

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
