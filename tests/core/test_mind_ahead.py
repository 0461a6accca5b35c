"""What is expected of sessions, and what an idle node prefills ahead of their turns."""

from dataclasses import replace

import pytest

from cluster.core.mind.expect import FIRST_OUTPUT_TOKENS, Expectations
from cluster.core.mind.rehearse import Rehearsal, Thinker, rehearsals
from cluster.core.mind.views import NodeView
from cluster.core.mind.weights import DEFAULT
from tests.core.test_mind import lies, node, turn


def thinker(idle_s: float = 10.0) -> Thinker:
    return Thinker(turn(1, 20_000), idle_s)


def ahead(*nodes: NodeView, idle_s: float = 10.0) -> list[Rehearsal]:
    return rehearsals([thinker(idle_s)], nodes, [each.name for each in nodes], DEFAULT)


def test_what_was_evicted_is_computed_again_while_its_session_thinks() -> None:
    (found,) = ahead(node("a", 5.0))
    assert (found.turn.session, found.node) == ("s1", "a")
    assert found.gain_s > 1


def test_nothing_is_computed_where_all_of_it_lies() -> None:
    assert ahead(replace(node("a"), residents=[lies("s1", 20_000)])) == []


def test_a_session_that_sleeps_is_not_worth_the_heat() -> None:
    assert ahead(node("a"), idle_s=1e6) == []


def test_a_session_on_a_slow_node_is_brought_to_a_fast_one_and_never_back() -> None:
    slow, fast = replace(node("a", 0.1), residents=[lies("s1", 20_000)]), node("b", 5.0)
    assert [each.node for each in ahead(slow, fast)] == ["b"]
    there = replace(fast, residents=[lies("s1", 20_000)])
    assert ahead(node("a", 0.1), there) == []


def test_an_answer_is_expected_as_those_before_and_more_so_by_its_own_session() -> None:
    known = Expectations()
    assert known.output_tokens("s") == FIRST_OUTPUT_TOKENS
    for _ in range(50):
        known.learn("short", 100, 500)
        known.learn("long", 2000, None)
    assert known.output_tokens("short") < known.output_tokens("new") < known.output_tokens("long")
    assert known.growth_tokens("new") == pytest.approx(500, rel=0.1)


def test_an_answer_that_is_long_already_is_expected_to_be_of_the_long_ones() -> None:
    known = Expectations()
    for output_tokens in (100, 100, 100, 2000):
        known.learn("s", output_tokens, None)
    assert known.left_tokens("s", 50) == pytest.approx(575 - 50)
    assert known.left_tokens("s", 150) == 1850
    assert known.left_tokens("s", 5000) == 5000
