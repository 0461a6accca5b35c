"""How far a start is, for a terminal and for a pipe."""

import io

import pytest
from rich.console import Console

from cluster.cli.progress import Progress, bar_words

TWO = (
    {"deployment": "a", "stage": "reading weights", "fraction": 0.25},
    {"deployment": "b", "stage": "warming up", "fraction": None},
)


def _console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, _environ={}), file


def test_every_model_that_loads_is_named_with_its_stage_and_share() -> None:
    console, file = _console(terminal=True)
    with Progress(quiet=False, console=console) as progress:
        progress.loading(TWO, ["a", "b"])
    assert "loading a, b: a reading weights 25%, b warming up" in file.getvalue()


def test_a_pipe_gets_a_line_for_each_stage_and_step() -> None:
    console, file = _console(terminal=False)
    with Progress(quiet=False, console=console) as progress:
        progress.loading(TWO, ["a", "b"])
        progress.step("reading weights", bar_words(0.5))
        progress.step("warming up")
        progress.step("warming up")
    lines = ["loading a, b", "loading a, b: reading weights", "loading a, b: warming up"]
    assert file.getvalue().splitlines() == lines


@pytest.mark.parametrize(
    ("fraction", "bar"),
    [(None, ""), (0.0, f"{'╌' * 16} 0%"), (0.5, f"{'━' * 8}{'╌' * 8} 50%"), (1.0, f"{'━' * 16} 100%")],
)
def test_a_bar_is_as_full_as_its_number_says(fraction: float | None, bar: str) -> None:
    assert bar_words(fraction) == bar
