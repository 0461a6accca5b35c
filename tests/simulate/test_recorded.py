"""A journal's turns come again when they came, as long as they were."""

from collections.abc import Sequence
from random import Random

import pytest

from cluster.core.errors import InvalidField
from cluster.core.events import Event, FirstToken, Tick, TurnArrived, TurnCancelled, TurnFinished
from cluster.core.facts import Feature
from cluster.core.ids import Cause, GatewayId, SessionKey, TurnId
from cluster.simulate.engine import UNDISTURBED
from cluster.simulate.policies import POLICIES
from cluster.simulate.recorded import Recording, recording
from cluster.simulate.replay import Replay
from tests.simulate.small import MODEL, lab

C = Cause("c")


def came(turn: str, session: str = "s", model: str = MODEL.name, waited_s: float = 0.0) -> TurnArrived:
    return TurnArrived(
        TurnId(turn), GatewayId("g"), SessionKey("home", session), model, 4000, C, waited_s=waited_s
    )


def ended(turn: str, prompt: int, answer: int, cached: int = 0) -> TurnFinished:
    return TurnFinished(TurnId(turn), prompt, cached, answer, C)


def record(*events: tuple[float, Event]) -> Recording:
    return recording(lab("n"), [(100.0, Tick(C)), *events], "x.journal")


def replay(found: Recording, policy: str = "router") -> list[tuple[float, int, int]]:
    """When each turn came, how long its prompt was, how much of it was there."""
    jobs = Replay(lab("n"), UNDISTURBED, POLICIES[policy](Random(1)), found).run()
    return [
        (each.arrived_s, each.input_tokens, each.hit_tokens)
        for each in sorted(jobs, key=lambda job: job.number)
    ]


@pytest.mark.parametrize("policy", ["router", "sticky"])
def test_turns_come_when_they_came_and_keep_what_they_kept(policy: str) -> None:
    found = record(
        (110.0, came("1")),
        (111.0, came("2", "other", waited_s=8.0)),
        (115.0, ended("2", 500, 20)),
        (120.0, ended("1", 1000, 50)),
        (130.0, came("3")),
        (131.0, came("3", waited_s=1.0)),
        (140.0, ended("3", 1200, 10, 700)),
        (150.0, came("4")),
        (160.0, ended("4", 400, 10, 300)),
    )
    assert (found.num_turns, found.num_left_out) == (4, 0)
    assert replay(found, policy) == [(3.0, 500, 0), (10.0, 1000, 0), (30.0, 1200, 1050), (50.0, 400, 300)]


def test_it_tells_how_the_turns_really_went() -> None:
    found = record(
        (110.0, came("1")),
        (113.0, FirstToken(TurnId("1"), C)),
        (120.0, ended("1", 1000, 50)),
        (121.0, came("2", waited_s=1.0)),
        (129.0, FirstToken(TurnId("2"), C)),
        (130.0, ended("2", 1000, 50, 500)),
    )
    assert (found.figures.mean_turn_s, found.figures.longest_wait_s) == (10.0, 9.0)
    assert found.figures.hit_rate == 0.25


def test_a_turn_waits_for_the_answer_before_it() -> None:
    found = record(
        (100.0, came("1")), (101.0, came("2")), (102.0, ended("1", 9000, 10)), (103.0, ended("2", 9100, 10))
    )
    (first_s, *_), (second_s, *_) = replay(found)
    assert first_s == 0.0
    assert second_s > 9.0


def test_what_has_no_end_or_is_no_chat_or_too_long_is_left_out() -> None:
    vector = TurnArrived(
        TurnId("v"),
        GatewayId("g"),
        SessionKey("home", "v"),
        MODEL.name,
        10,
        C,
        needs=frozenset({Feature.EMBEDDINGS}),
    )
    found = record(
        (100.0, came("1")),
        (100.0, came("gone", "a")),
        (100.0, came("long", "b")),
        (100.0, vector),
        (101.0, TurnCancelled(TurnId("gone"), C)),
        (102.0, ended("1", 10, 1)),
        (102.0, ended("long", 100_000, 1)),
        (102.0, ended("v", 10, 0)),
    )
    assert (found.num_turns, found.num_left_out) == (1, 3)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "no turn came"),
        ([(100.0, came("1"))], "no turn of it was answered"),
        ([(100.0, came("1", model="other"))], "its turns are for other, which is no model of the lab"),
    ],
)
def test_a_journal_that_tells_nothing_is_refused(events: Sequence[tuple[float, Event]], words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        record(*events)
