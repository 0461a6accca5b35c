"""The life of a model: loaded when it is wanted, unloaded when its memory is wanted more."""

import pytest

from cluster.core.commands import Commit, Drain, Load, Place, Queue, Reject, Unload
from cluster.core.errors import Overloaded
from cluster.core.events import (
    DeploymentLoading,
)
from cluster.core.facts import LoadedView
from cluster.core.ids import DeploymentId, ReplicaId
from tests.core.drive import CAUSE, only
from tests.core.managed import Home, home, loads_of, unloads_of


def test_nothing_is_loaded_before_the_loader_was_heard() -> None:
    drive = Home()
    drive.node("n1", 10)
    drive.model("a", 4)
    drive.turn("t", "a")
    drive.tick(5.0)
    assert not drive.heard(Load)
    assert only(drive.report(), Load).layout.nodes == ("n1",)


def test_at_the_start_what_is_kept_warm_comes_first_then_the_others_as_they_fit() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.model("large", 20)
    drive.model("b", 4)
    drive.model("warm", 4, keep_warm=True)
    drive.seconds(3)
    assert loads_of(drive) == ["warm", "a"], "b fits no more, and nothing is unloaded for it"
    assert drive.states() == {"warm": "loading", "a": "loading", "b": "unloaded", "large": "unloaded"}


def test_at_the_start_a_moment_is_waited_for_more_nodes() -> None:
    drive = home(4)
    drive.model("a", 4)
    drive.second(0.5)
    assert not drive.heard(Load)
    drive.node("n2", 20)
    drive.seconds(2)
    assert only(drive.said, Load).layout.nodes == ("n2",)


def test_a_turn_for_a_model_that_is_not_loaded_loads_it_and_is_placed() -> None:
    drive = home(10)
    drive.loads("a")
    drive.unload("a")
    drive.seconds(3)
    assert drive.states() == {"a": "unloaded"}
    drive.said.clear()
    assert only(drive.turn("t", "a"), Load).deployment == "a"
    drive.seconds(2)
    assert [place.turn for place in drive.heard(Place)] == []
    assert only(drive.started("a"), Place).turn == "t"
    assert drive.states() == {"a": "ready"}


def test_the_waiting_client_is_told_how_far_its_model_has_come() -> None:
    drive = home(10)
    drive.model("a", 4)
    queue = only(drive.turn("t", "a"), Queue)
    assert (queue.loading, queue.fraction) == ("starting", None)
    assert 5.0 < queue.estimate_s < 15.0, "as the bytes suggest"
    told: list[float | None] = []
    for percent in range(0, 100, 2):
        drive.tell(DeploymentLoading(DeploymentId("a"), ReplicaId("a"), "loading", percent / 100, CAUSE))
        told += [each.fraction for each in drive.second(0.2) if isinstance(each, Queue)]
    assert 19 <= len(told) <= 21, "in steps of a twentieth"
    assert drive.status("a").stage == "loading"
    drive.tell(DeploymentLoading(DeploymentId("a"), ReplicaId("a"), "warming up", None, CAUSE))
    assert only(drive.second(), Queue).loading == "warming up"
    assert only(drive.started("a"), Place).turn == "t"


def test_the_time_of_a_load_is_learned() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.seconds(2)
    drive.seconds(40)
    drive.started("a")
    drive.unload("a")
    drive.seconds(3)
    queue = only(drive.turn("t", "a"), Queue)
    assert queue.estimate_s == pytest.approx(40, abs=3)
    drive.seconds(20)
    drive.turn("t2", "a")
    estimate = next(each.estimate_s for each in drive.heard(Queue) if each.turn == "t2")
    assert estimate == pytest.approx(20, abs=3)


def test_a_wait_for_a_load_is_committed_as_any_other() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.turn("t", "a")
    drive.seconds(5)
    assert only(drive.said, Commit).turn == "t"


def test_load_and_unload_are_said_until_the_report_agrees() -> None:
    drive = home(10)
    drive.obeys = False
    drive.model("a", 4)
    drive.seconds(4)
    assert loads_of(drive)[:3] == ["a", "a", "a"]
    drive.loaded["a"] = LoadedView(DeploymentId("a"), drive.heard(Load)[0].layout)
    drive.second()
    drive.said.clear()
    drive.seconds(3)
    assert not drive.heard(Load)
    drive.unload("a")
    drive.seconds(3)
    assert [each.deployment for each in drive.heard(Unload)[:3]] == ["a", "a", "a"]
    drive.loaded.clear()
    drive.second()
    drive.said.clear()
    drive.seconds(3)
    assert not drive.heard(Unload)
    assert drive.states() == {"a": "unloaded"}


def test_an_unload_waits_for_the_turns_in_flight() -> None:
    drive = home(10)
    drive.loads("a")
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    assert only(drive.unload("a"), Drain).replica == "a"
    drive.seconds(20)
    assert not drive.heard(Unload)
    assert drive.states() == {"a": "unloading"}
    assert not [each for each in drive.turn("late", "a") if isinstance(each, Place)]
    assert only(drive.ends("t", "a", lease), Unload).deployment == "a"
    drive.seconds(2)
    assert loads_of(drive)[-1] == "a", "its next turn loads it again"


def test_what_was_unloaded_by_a_person_is_loaded_by_its_next_turn_alone() -> None:
    drive = home(10)
    drive.loads("a", keep_warm=True)
    drive.unload("a")
    drive.seconds(30)
    assert drive.states() == {"a": "unloaded"}
    assert loads_of(drive) == ["a"]
    drive.turn("t", "a")
    assert loads_of(drive) == ["a", "a"]


def test_an_idle_model_is_unloaded_after_its_time() -> None:
    drive = home(10)
    drive.loads("a", unload_after_s=20.0)
    drive.seconds(15)
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    drive.seconds(30)
    assert not drive.heard(Unload)
    drive.ends("t", "a", lease)
    drive.seconds(18)
    assert not drive.heard(Unload)
    drive.seconds(5)
    assert unloads_of(drive) == ["a"]


def test_the_least_valuable_idle_model_makes_room() -> None:
    drive = home(12)
    for name, priority in (("a", 1), ("b", 0), ("c", 0)):
        drive.loads(name, priority=priority)
    for index in range(5):
        lease = only(drive.turn(f"b{index}", "b"), Place).lease
        drive.runs(f"b{index}", "b", lease)
        drive.ends(f"b{index}", "b", lease)
    drive.model("d", 4)
    drive.turn("t", "d")
    drive.seconds(3)
    assert unloads_of(drive) == ["c"], "a has a higher priority, b is asked for more often"
    assert loads_of(drive)[-1] == "d"


def test_only_what_is_needed_makes_room() -> None:
    drive = home(4, 8)
    drive.loads("large", 8)
    drive.loads("small", 3)
    drive.model("new", 8)
    drive.turn("t", "new")
    drive.seconds(3)
    assert unloads_of(drive) == ["large"]
    assert drive.heard(Load)[-1].layout.nodes == ("n2",)


def test_what_is_kept_warm_never_makes_room_and_others_are_told_so() -> None:
    drive = home(10)
    drive.loads("warm", 8, keep_warm=True)
    drive.model("b", 4)
    drive.seconds(12)
    error = only(drive.turn("t", "b"), Reject).error
    assert isinstance(error, Overloaded)
    assert "4 GiB" in str(error)
    assert "`hearth unload warm`" in str(error), "no other model stands in its way"
    assert "idle" not in str(error)
    assert not drive.heard(Unload)


def test_a_model_that_fits_nowhere_is_refused_at_once_in_numbers() -> None:
    drive = home(10)
    drive.model("huge", 40)
    drive.seconds(12)
    error = only(drive.turn("t", "huge"), Reject).error
    assert error.status == 503
    assert "needs 40 GiB" in str(error)
    assert "choose a smaller one" in str(error)
    assert "40 GiB" in drive.status("huge").reason
    drive.node("n2", 64)
    assert only(drive.turn("t2", "huge"), Load).layout.nodes == ("n2",)


def test_a_new_router_refuses_nothing_before_it_had_time_to_hear_of_the_nodes() -> None:
    drive = Home()
    drive.model("a", 4)
    drive.report()
    assert not [each for each in drive.turn("t", "a") if isinstance(each, Reject)]
    drive.seconds(2)
    drive.node("n1", 10)
    assert only(drive.second(), Load).deployment == "a"


def test_a_person_who_asks_for_a_model_has_idle_ones_unloaded_but_no_busy_one() -> None:
    drive = home(4)
    drive.loads("a")
    drive.model("b", 4)
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    drive.load("b")
    drive.seconds(100)
    assert not drive.heard(Drain)
    drive.ends("t", "a", lease)
    drive.seconds(2)
    assert unloads_of(drive) == ["a"]
    assert loads_of(drive)[-1] == "b"
