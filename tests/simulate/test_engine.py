"""One node: times computed by hand, memory that is never exceeded, and who gives way."""

import math
from collections.abc import Callable, Iterable, Sequence

import pytest

from cluster.simulate.engine import SHARED, UNDISTURBED, Device
from cluster.simulate.job import Job
from tests.simulate.small import engine, finish, have, job

P = 0.95 * (1 + 475 / 60_000)
"""Seconds of a cold prefill of 950 tokens at 1,000 a second."""


class ShortestInChunks:
    """The least prefill left goes first, a tenth of a second at a time."""

    def next(self, waiting: Sequence[Job], fits: Callable[[Job], bool], now: float) -> Job | None:
        able = [each for each in waiting if fits(each)]
        return min(able, key=lambda each: each.input_tokens, default=None)

    def chunk_s(self, job: Job) -> float:
        return 0.1

    def victims(self, job: Job, idle: Sequence[str], now: float) -> Iterable[str]:
        return reversed(idle)


def test_one_turn_is_prefilled_and_then_says_a_token_each_step() -> None:
    one, only = engine(), job()
    one.submit(only, 0.0)
    finish(one)
    assert only.first_token_s == pytest.approx(P)
    assert only.finished_s == pytest.approx(P + 99 * 0.010)


@pytest.mark.parametrize(
    ("device", "second_first_s", "ends_s"),
    [
        # The first has said P / 10 ms of its 99 tokens when the second joins it: then a step takes 16 ms.
        (UNDISTURBED, 2 * P, (2 * P + (99 - P / 0.010) * 0.016, 2.92453)),
        # The second's prefill takes P / 0.7 beside decode steps of 10 / 0.3 ms: 41.04 tokens in that time.
        (SHARED, P + P / 0.7, (3.25282, 3.66319)),
    ],
)
def test_two_turns_share_a_node(device: Device, second_first_s: float, ends_s: tuple[float, float]) -> None:
    one, turns = engine(device=device), (job("a"), job("b"))
    for each in turns:
        one.submit(each, 0.0)
    finish(one)
    assert turns[0].first_token_s == pytest.approx(P)
    assert turns[1].first_token_s == pytest.approx(second_first_s)
    assert [each.finished_s for each in turns] == pytest.approx(ends_s, abs=1e-5)


def test_weights_of_a_batch_are_read_for_three_sequences_at_most() -> None:
    """Four turns of prompts that cost nothing: a step is 3 x 5 ms of weights, 4 x 1 ms of KV, and 4 ms."""
    one, turns = engine(rate=1e12), [job(name) for name in "abcd"]
    for each in turns:
        one.submit(each, 0.0)
    finish(one)
    assert turns[0].finished_s == pytest.approx(99 * 0.023, abs=1e-6)


def test_what_a_session_left_is_not_prefilled_again() -> None:
    one = engine()
    have(one, "s", 800)
    again = job("s", kept_tokens=700)
    one.submit(again, 0.0)
    finish(one)
    assert again.hit_tokens == 700
    assert again.first_token_s == pytest.approx(0.25 * (1 + (700 + 125) / 60_000))
    assert one.memory.resident_tokens("s") == 1050


def test_a_rewritten_context_is_cut() -> None:
    one = engine()
    have(one, "s", 800)
    one.cut("s", 300)
    assert one.memory.resident_tokens("s") == 300
    assert one.memory.idle_bytes == 300_000


def test_the_last_prompt_token_is_always_computed() -> None:
    one = engine()
    have(one, "s", 2000)
    assert one.hit_tokens(job("s", input_tokens=900, kept_tokens=900)) == 899


def test_the_least_recently_used_session_loses_its_tail() -> None:
    one = engine(kv_bytes=2000 * 1000)
    have(one, "old", 600)
    have(one, "young", 600)
    one.submit(job("new"), 0.0)
    assert (one.memory.resident_tokens("old"), one.memory.resident_tokens("young")) == (350, 600)
    assert one.memory.running_bytes + one.memory.idle_bytes == one.memory.capacity_bytes


def test_a_turn_waits_until_it_fits_and_all_behind_it_wait_too() -> None:
    one = engine(kv_bytes=2000 * 1000)
    runs, large, small = job("a"), job("b"), job("c", 50, 1)
    for each in (runs, large, small):
        one.submit(each, 0.0)
    finish(one)
    assert large.started_s == pytest.approx(runs.finished_s)
    assert small.started_s == pytest.approx(large.first_token_s)


def test_a_policy_may_bring_its_own_order_and_chunks() -> None:
    one = engine(orders=ShortestInChunks())
    long, short = job("a"), job("b", 50, 1)
    one.submit(long, 0.0)
    one.submit(short, 0.05)
    finish(one)
    assert short.first_token_s == pytest.approx(0.1 + 0.05 * (1 + 25 / 60_000))
    assert long.first_token_s == pytest.approx(P + 0.05 * (1 + 25 / 60_000))
    assert long.hit_tokens == 0


def test_a_policy_may_evict_in_its_own_order() -> None:
    one = engine(kv_bytes=2000 * 1000, orders=ShortestInChunks())
    have(one, "old", 600)
    have(one, "young", 600)
    one.submit(job("new"), 0.0)
    assert (one.memory.resident_tokens("old"), one.memory.resident_tokens("young")) == (600, 350)


def test_a_turn_that_waits_can_be_taken_back() -> None:
    one, turns = engine(), [job(name) for name in "abc"]
    for each in turns:
        one.submit(each, 0.0)
    one.withdraw(turns[1], 0.1)
    finish(one)
    assert turns[2].first_token_s == pytest.approx(2 * P)
    assert math.isnan(turns[1].started_s)
