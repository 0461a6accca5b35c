"""The queue: fair, bounded, honest about time, and in two phases."""

from cluster.core.commands import Commit, Place, Queue, Reject
from cluster.core.context import Limits
from cluster.core.errors import Overloaded
from cluster.core.events import DeploymentWithdrawn
from cluster.core.ids import DeploymentId
from tests.core.drive import CAUSE, Drive, only


def keep(drive: Drive, seconds: float) -> None:
    """Time passes with gateway and replica there."""
    for _ in range(int(seconds / 0.5)):
        drive.alive()
        drive.tick(0.5)


def test_one_tenant_is_served_in_order_of_arrival() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    names = [f"t{index}" for index in range(6)]
    for name in names:
        drive.arrive(name)
    for index, name in enumerate(names):
        drive.start(f"1-{index + 1}")
        drive.finish(name, f"1-{index + 1}")
    assert [place.turn for place in drive.heard(Place)] == names


def test_a_busy_tenant_does_not_delay_anothers_first_turn() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    for index in range(5):
        drive.arrive(f"busy{index}", tenant="busy")
    drive.arrive("other", tenant="other")
    drive.start("1-1")
    drive.finish("busy0", "1-1")
    drive.start("1-2")
    drive.finish(drive.heard(Place)[-1].turn, "1-2")
    assert "other" in [place.turn for place in drive.heard(Place)][:3]


def test_a_waiting_turn_is_told_its_position_and_its_estimate() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", 500, max_tokens=100)
    told = only(drive.arrive("b"), Queue)
    assert told.position == 1
    assert 0.5 < told.estimate_s < 3.0, "half a second of prefill and a second of decode at most"


def test_within_four_seconds_a_wait_within_patience_is_committed() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", max_tokens=900)
    drive.start("1-1", 10, 910)
    drive.arrive("b")
    keep(drive, 3.0)
    assert not drive.heard(Commit)
    keep(drive, 1.0)
    assert [commit.turn for commit in drive.heard(Commit)] == ["b"]


def test_a_wait_beyond_patience_is_refused_with_the_estimate() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    for index in range(20):
        drive.arrive(f"t{index}", 900, max_tokens=50)
    error = only(drive.arrive("impatient", patience_s=2.0), Reject).error
    assert isinstance(error, Overloaded)
    assert "overloaded" in str(error)
    assert "Estimated wait" in str(error)
    assert error.retry_after_s is not None
    assert error.retry_after_s <= 30


def test_a_committed_turn_is_not_refused_for_its_patience() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", max_tokens=500)
    drive.start("1-1", 10, 510)
    drive.arrive("b", patience_s=20.0)
    keep(drive, 60.0)
    assert [commit.turn for commit in drive.heard(Commit)] == ["b"]
    assert not drive.heard(Reject)
    drive.finish("a", "1-1")
    assert drive.heard(Place)[-1].turn == "b"


def test_the_queue_is_bounded_and_says_so() -> None:
    drive = Drive(Limits(queue=3))
    drive.ready(num_slots=1)
    for index in range(4):
        drive.arrive(f"t{index}")
    error = only(drive.arrive("one too many"), Reject).error
    assert isinstance(error, Overloaded)
    assert error.status == 503
    assert "queue is full" in str(error)


def test_turns_wait_for_a_model_that_loads() -> None:
    drive = Drive()
    drive.declare("m")
    assert only(drive.arrive("a"), Queue).estimate_s > 0
    assert only(drive.ready(), Place).turn == "a"


def test_turns_for_a_model_that_will_not_load_are_told_why() -> None:
    drive = Drive()
    drive.declare("m")
    drive.arrive("a")
    drive.tell(DeploymentWithdrawn(DeploymentId("m"), "the file is cut short", CAUSE))
    drive.tick()
    assert only(drive.said, Reject).turn == "a"
    assert "cut short" in str(only(drive.arrive("b"), Reject).error)


def test_small_turns_use_memory_that_a_large_one_cannot_but_not_for_ever() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000, num_slots=4)
    drive.arrive("first", 600, max_tokens=100)
    drive.start("1-1", 600, 700)
    drive.arrive("large", 900, max_tokens=50)
    assert only(drive.arrive("small", 100), Place).turn == "small"
    drive.start("1-2", 100, 110)
    keep(drive, 20.0)
    drive.arrive("late", 100)
    assert "late" not in [place.turn for place in drive.heard(Place)]


def test_turns_of_a_dead_gateway_are_given_up() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a")
    drive.start("1-1")
    drive.arrive("b")
    drive.tick(11.0)
    assert drive.machine.view(drive.now).queue == ()
