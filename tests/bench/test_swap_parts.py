"""What the swap bench makes of a journal, on stories written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.swap.settings import SwapSettings
from bench.swap.story import idle_memory_s, swaps_s, waits_for_model
from bench.swap.stream import arrivals

STORY: list[dict[str, Any]] = [
    {"at_s": -5.0, "what": "held", "names": ["a", "b"]},
    {"at_s": -4.0, "what": "ready", "name": "a"},
    {"at_s": -3.0, "what": "ready", "name": "b"},
    {"at_s": 10.0, "what": "draining", "name": "a"},
    {"at_s": 11.0, "what": "held", "names": ["a-", "b"]},
    {"at_s": 12.0, "what": "gone", "name": "a"},
    {"at_s": 13.0, "what": "held", "names": ["b"]},
    {"at_s": 13.0, "what": "held", "names": ["b", "c"]},
    {"at_s": 16.0, "what": "ready", "name": "c"},
]


def test_memory_that_serves_nobody_is_time_lost() -> None:
    """a drains from 10 to 13, c loads from 13 to 16; what was loaded before the stream does not count."""
    assert idle_memory_s(STORY, until_s=20.0) == (pytest.approx(6.0), 1)


def test_a_swap_lasts_from_the_last_turn_taken_to_the_first() -> None:
    assert swaps_s(STORY) == [pytest.approx(6.0)]


@pytest.mark.parametrize(
    ("model", "at_s", "wait_s"),
    [("a", 5.0, 0.0), ("a", 10.5, 9.5), ("c", 5.0, 11.0), ("c", 17.0, 0.0), ("b", 11.0, 0.0)],
)
def test_a_turn_waits_until_its_model_takes_turns(model: str, at_s: float, wait_s: float) -> None:
    turns = [{"model": model, "at_s": at_s}]
    assert waits_for_model(turns, STORY, until_s=20.0) == [pytest.approx(wait_s)]


def test_both_sides_get_the_same_stream_and_another_seed_another_one() -> None:
    settings = SwapSettings()
    assert arrivals(settings, 1) == arrivals(settings, 1) != arrivals(settings, 2)
