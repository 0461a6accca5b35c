"""What a turn needs, what is refused at once, and with which words."""

from cluster.core.commands import Extend, Measure, Place, Preempt, Reject
from cluster.core.context import Limits
from cluster.core.errors import ContextLengthExceeded, InvalidField, ModelNotFound, NeverFits
from cluster.core.events import (
    ExtensionAsked,
    StreamLost,
    TurnMeasured,
)
from cluster.core.facts import Feature
from cluster.core.ids import BootId, LeaseId, ReplicaId, TurnId
from tests.core.drive import CAUSE, Drive, only


def test_a_turn_reserves_its_prompt_and_its_output() -> None:
    drive = Drive()
    drive.ready()
    place = only(drive.arrive("a", 100, max_tokens=50), Place)
    assert place.reserved_tokens == 150
    assert drive.machine.view(0).replicas[0].reserved_tokens == 150


def test_a_prompt_over_the_window_is_refused_with_the_numbers() -> None:
    drive = Drive()
    drive.ready(window_tokens=500)
    error = only(drive.arrive("a", 480, max_tokens=50), Reject).error
    assert isinstance(error, ContextLengthExceeded)
    assert str(error).startswith(
        "This model's maximum context length is 500 tokens. However, you requested 530 tokens "
        "(480 in the messages, 50 in the completion)."
    )


def test_what_fits_the_window_but_no_node_is_refused_with_the_remedy() -> None:
    drive = Drive()
    drive.ready(kv_tokens=300, window_tokens=1000)
    error = only(drive.arrive("a", 400, max_tokens=50), Reject).error
    assert isinstance(error, NeverFits)
    assert "maximum context length is 300 tokens" in str(error)
    assert "own window is 1000 tokens" in str(error)
    assert error.status == 400


def test_an_estimate_near_the_limit_is_measured_and_never_refused() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000)
    commands = drive.arrive("a", None, prompt_bytes=2900, max_tokens=50)
    assert only(commands, Measure).endpoint == "http://r"
    assert not drive.heard(Place)
    place = only(drive.tell(TurnMeasured(TurnId("a"), 700, CAUSE)), Place)
    assert place.reserved_tokens == 750


def test_a_measure_that_is_not_answered_does_not_hold_the_turn() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000)
    drive.arrive("a", None, prompt_bytes=2900, max_tokens=50)
    for _ in range(3):
        drive.tick(2.0)
        drive.alive()
    assert drive.heard(Place)


def test_a_turn_that_waits_is_measured_meanwhile_and_books_no_more_than_it_needs() -> None:
    drive = Drive()
    drive.ready()
    drive.arrive("a", 800, max_tokens=50)
    assert only(drive.arrive("b", None, prompt_bytes=300, max_tokens=50), Measure).turn == "b"
    assert only(drive.tell(TurnMeasured(TurnId("b"), 97, CAUSE)), Place).reserved_tokens == 147


def test_a_measure_that_is_not_needed_keeps_nobody_from_a_place() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    lease = only(drive.arrive("a", 10), Place).lease
    drive.start(lease)
    assert only(drive.arrive("b", None), Measure)
    assert only(drive.finish("a", lease), Place).turn == "b"


def test_no_front_is_asked_to_measure_that_may_be_dead() -> None:
    drive = Drive()
    drive.ready()
    first = only(drive.arrive("a", None), Place)
    drive.tell(StreamLost(TurnId("a"), first.lease, None, 0, False, True, CAUSE))
    assert not drive.heard(Measure)


def test_of_many_waiting_turns_the_next_few_are_measured() -> None:
    drive = Drive(Limits(measure_ahead=2))
    drive.ready()
    drive.arrive("a", 900, max_tokens=50)
    for name in ("b", "c", "d"):
        drive.arrive(name, None, prompt_bytes=300, max_tokens=50)
    drive.tick(1.0)
    assert [each.turn for each in drive.heard(Measure)] == ["b", "c"]


def test_an_unknown_model_names_those_that_are_there() -> None:
    drive = Drive()
    drive.ready()
    error = only(drive.arrive("a", model="gpt-9"), Reject).error
    assert isinstance(error, ModelNotFound)
    assert "`gpt-9`" in str(error)
    assert "`m`" in str(error)


def test_what_no_replica_of_the_model_can_do_is_said() -> None:
    drive = Drive()
    drive.ready()
    error = only(drive.arrive("a", needs=frozenset({Feature.IMAGES})), Reject).error
    assert isinstance(error, InvalidField)
    assert "images" in str(error)


def test_an_open_ended_answer_is_reserved_by_habit_and_extended() -> None:
    drive = Drive()
    drive.ready(kv_tokens=5000, window_tokens=5000)
    for index in range(6):
        drive.arrive(f"t{index}", 100, session="s", max_tokens=None)
        drive.start(f"1-{index + 1}", 100, 300)
        drive.finish(f"t{index}", f"1-{index + 1}", tokens=20)
    place = only(drive.arrive("long", 100, session="s", max_tokens=4000), Place)
    assert place.reserved_tokens == 100 + 256, "one step, not four thousand tokens"
    asked = ExtensionAsked(ReplicaId("r"), BootId("b"), place.lease, 612, CAUSE)
    assert only(drive.tell(asked), Extend).reserved_tokens == 612


def test_an_extension_without_room_moves_the_answer_on() -> None:
    drive = Drive()
    drive.ready(kv_tokens=700)
    first = only(drive.arrive("a", 100, max_tokens=500), Place)
    drive.start(first.lease, 100, 600)
    asked = ExtensionAsked(ReplicaId("r"), BootId("b"), LeaseId(first.lease), 900, CAUSE)
    assert only(drive.tell(asked), Extend).reserved_tokens == 700, "never more than there is"
    again = ExtensionAsked(ReplicaId("r"), BootId("b"), LeaseId(first.lease), 1500, CAUSE)
    assert not [command for command in drive.tell(again) if isinstance(command, Preempt)]


def test_reservations_round_up_to_blocks() -> None:
    drive = Drive()
    drive.ready(block_tokens=16)
    drive.arrive("a", 100, max_tokens=1)
    assert drive.machine.view(0).replicas[0].reserved_tokens == 112
