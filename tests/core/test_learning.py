"""What turns teach: sizes per session, lengths of answers, speeds; and that it stays bounded."""

import pytest

from cluster.core.commands import Place
from cluster.core.events import FirstToken, TurnFinished
from cluster.core.facts import Speed
from cluster.core.ids import SessionKey, TurnId
from cluster.core.learning import DEFAULT_OUTPUT_TOKENS, Memory, learn_speed
from tests.core.drive import CAUSE, Drive, only

CODE, PROSE = SessionKey("t", "code"), SessionKey("t", "prose")


def test_each_session_has_its_own_bytes_per_token() -> None:
    memory = Memory()
    for _ in range(3):
        memory.learn(CODE, "m", 2000, 1000, 10)
        memory.learn(PROSE, "m", 5000, 1000, 10)
    assert memory.prompt_tokens(CODE, "m", 4000) == 2000
    assert memory.prompt_tokens(PROSE, "m", 4000) == 800


def test_a_new_session_begins_with_what_its_model_does() -> None:
    memory = Memory()
    assert memory.prompt_tokens(CODE, "m", 3000) == 1000, "three bytes a token while nothing is known"
    memory.learn(PROSE, "m", 5000, 1000, 10)
    assert memory.prompt_tokens(CODE, "m", 5000) == 1000
    assert memory.prompt_tokens(CODE, "another", 3000) == 1000


def test_a_change_of_habit_is_followed() -> None:
    memory = Memory()
    memory.learn(CODE, "m", 2000, 1000, 10)
    for _ in range(12):
        memory.learn(CODE, "m", 4000, 1000, 10)
    assert memory.prompt_tokens(CODE, "m", 4000) == pytest.approx(1000, rel=0.02)


def test_an_answer_is_expected_to_be_as_long_as_nearly_all_were() -> None:
    memory = Memory()
    for tokens in (20, 30, 900):
        memory.learn(CODE, "m", 10, 10, tokens)
    assert memory.usual_output(CODE, "m") == DEFAULT_OUTPUT_TOKENS, "three answers say too little"
    for _ in range(29):
        memory.learn(CODE, "m", 10, 10, 40)
    assert memory.usual_output(CODE, "m") == 40, "one long answer of 32 is not usual"
    assert memory.mean_output(CODE, "m") == pytest.approx((20 + 30 + 900 + 29 * 40) / 32)


def test_sessions_long_gone_are_forgotten_and_busy_ones_are_not() -> None:
    memory = Memory()
    for index in range(6000):
        memory.learn(CODE, "m", 2000, 1000, 10)
        memory.learn(SessionKey("t", str(index)), "m", 5000, 1000, 10)
    assert memory.prompt_tokens(CODE, "m", 2000) == 1000
    assert len(memory._sessions) == 4096


def test_speeds_follow_turns_that_are_long_enough_to_tell() -> None:
    speed = learn_speed(Speed(1000.0, 50.0), 500, 0.25, 100, 1.0)
    assert (speed.prefill_tps, speed.decode_tps) == pytest.approx((1300.0, 65.0))
    assert learn_speed(speed, 20, 5.0, 3, 5.0) == speed, "a resident prefix and three tokens say nothing"
    assert learn_speed(speed, 500, 0.0, 100, -1.0) == speed


def test_a_turn_teaches_the_speed_of_its_replica() -> None:
    drive = Drive()
    drive.ready(speed=Speed(1000.0, 100.0))
    place = only(drive.arrive("a", 500, max_tokens=101), Place)
    drive.start(place.lease, 500, 601)
    drive.now = 1.0
    drive.tell(FirstToken(TurnId("a"), CAUSE))
    drive.now = 3.0
    drive.tell(TurnFinished(TurnId("a"), 500, 0, 101, CAUSE))
    learned = drive.machine.view(drive.now).replicas[0].speed
    speeds = learned.prefill_tps, learned.decode_tps
    assert speeds == pytest.approx((850.0, 85.0)), "500 and 50 a second, a third of the way"
