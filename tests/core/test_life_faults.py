"""The life of a model where something fails: starts, nodes, the loader, routers; words late or twice."""

from cluster.core.commands import Drain, Load, Place, Reject, Unload
from cluster.core.events import (
    DrainAsked,
    LoaderReport,
    LoadFailed,
    NodeReport,
    NodeUp,
    ReplicaGone,
)
from cluster.core.facts import LoadedView
from cluster.core.ids import BootId, DeploymentId, NodeId, ReplicaId
from cluster.core.layout import EngineKind, Layout, NodeFacts, Shard
from tests.core.drive import CAUSE, only
from tests.core.managed import GIB, Home, home, loads_of, unloads_of


def layout_on(*nodes: str, gib: float = 4) -> Layout:
    shards = tuple(Shard(NodeId(node), int(gib * GIB)) for node in nodes)
    return Layout(EngineKind.FAKE, "a", shards, 4096, 4096)


def test_a_start_that_fails_is_tried_again_elsewhere_then_given_up_with_its_reason() -> None:
    drive = home(10, 10)
    drive.model("a", 4)
    drive.turn("t", "a")
    nodes: list[str] = []
    for _ in range(4):
        nodes += drive.heard(Load)[-1].layout.nodes
        drive.second()
        drive.fails("a")
        drive.seconds(20)
    assert len(loads_of(drive)) == 4
    assert set(nodes) == {"n1", "n2"}
    assert drive.states() == {"a": "failed"}
    assert "cut short" in drive.status("a").reason
    assert "cut short" in str(only(drive.said, Reject).error)
    assert "cut short" in str(only(drive.turn("t2", "a"), Reject).error)
    drive.seconds(100)
    assert len(loads_of(drive)) == 4
    assert only(drive.load("a"), Load).deployment == "a"


def test_a_new_node_is_another_chance_for_what_failed() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.turn("t", "a")
    for _ in range(4):
        drive.second()
        drive.fails("a")
        drive.seconds(20)
    assert drive.states() == {"a": "failed"}
    drive.node("n2", 10)
    assert drive.states() == {"a": "unloaded"}


def test_a_restart_in_place_unloads_nothing() -> None:
    drive = home(10)
    drive.loads("a")
    drive.tell(ReplicaGone(ReplicaId("a"), BootId(drive.boots.pop("a")), "the engine died", CAUSE))
    drive.seconds(5)
    assert drive.states() == {"a": "loading"}
    drive.turn("t", "a")
    assert only(drive.started("a"), Place).turn == "t"
    assert not drive.heard(Unload)
    assert loads_of(drive) == ["a"]


def test_a_gang_on_a_node_that_is_gone_is_started_again_where_there_is_room() -> None:
    drive = home(10, 9, 8)
    drive.model("a", 8, 2)
    drive.seconds(2)
    drive.started("a")
    assert set(drive.heard(Load)[0].layout.nodes) == {"n1", "n2"}
    drive.tell(ReplicaGone(ReplicaId("a"), BootId(drive.boots.pop("a")), "a rank is gone", CAUSE))
    for _ in range(12):
        drive.second(silent="n1")
    assert unloads_of(drive) == ["a"]
    for _ in range(3):
        drive.second(silent="n1")
    assert set(drive.heard(Load)[-1].layout.nodes) == {"n2", "n3"}


def test_a_silent_agent_on_a_node_whose_replica_answers_means_nothing() -> None:
    drive = home(10)
    drive.loads("a")
    for _ in range(30):
        drive.second(silent="n1")
    assert not drive.heard(Unload)
    assert drive.states() == {"a": "ready"}


def test_what_the_loader_lost_is_started_again() -> None:
    drive = home(10)
    drive.loads("a")
    drive.loaded.clear()
    drive.gone("a")
    drive.seconds(6)
    assert loads_of(drive) == ["a", "a"]


def test_a_new_router_takes_over_what_is_loaded() -> None:
    drive = Home()
    drive.model("a", 4)
    drive.model("b", 4)
    drive.node("n1", 10)
    drive.loaded["a"] = LoadedView(DeploymentId("a"), layout_on("n1"))
    drive.report()
    drive.started("a")
    drive.seconds(5)
    assert drive.states() == {"a": "ready", "b": "unloaded"}, "who knows why b was not loaded"
    assert not drive.heard(Load)
    view = drive.machine.view(drive.now)
    assert view.nodes[0].held_bytes == 4 * GIB
    drive.turn("t", "b")
    assert loads_of(drive) == ["b"]


def test_a_new_router_waits_for_the_fronts_word_before_it_unloads() -> None:
    drive = Home()
    drive.model("a", 4)
    drive.node("n1", 10)
    drive.loaded["a"] = LoadedView(DeploymentId("a"), layout_on("n1"))
    drive.report()
    drive.unload("a")
    drive.seconds(5)
    assert not drive.heard(Unload)
    drive.seconds(8)
    assert unloads_of(drive) == ["a"]


def test_where_more_is_held_than_there_is_nothing_more_is_loaded() -> None:
    drive = home(10, 5)
    drive.model("a", 4)
    drive.model("b", 4)
    drive.loaded["x"] = LoadedView(DeploymentId("x"), layout_on("n1", gib=12))
    drive.seconds(3)
    assert [load.layout.nodes for load in drive.heard(Load)] == [("n2",)]


def test_a_drained_replica_takes_its_deployment_with_it() -> None:
    drive = home(10)
    drive.loads("a")
    drive.tell(DrainAsked(ReplicaId("a"), CAUSE))
    drive.seconds(2)
    assert drive.states() == {"a": "unloaded"}


def test_words_that_come_twice_or_too_late_change_nothing() -> None:
    drive = home(10)
    drive.obeys = False
    drive.model("a", 4)
    drive.seconds(2)
    drive.report()
    drive.report()
    assert drive.states() == {"a": "loading"}, "they were made before Load came there"
    drive.loaded["a"] = LoadedView(DeploymentId("a"), drive.heard(Load)[0].layout)
    drive.report()
    drive.started("a")
    drive.tell(LoadFailed(DeploymentId("nobody"), "?", CAUSE))
    drive.tell(NodeUp(NodeId("n1"), 0, CAUSE, NodeFacts(10 * GIB)))
    drive.tell(NodeReport(NodeId("nobody"), 0, CAUSE))
    assert drive.states() == {"a": "ready"}


def test_memory_whose_load_may_be_on_its_way_still_is_not_given_to_another() -> None:
    drive = home(4)
    drive.obeys = False
    drive.model("a", 4)
    drive.model("b", 4)
    drive.seconds(2)
    drive.unload("a")
    drive.turn("t", "b")
    drive.tell(LoaderReport((), CAUSE))
    assert loads_of(drive) == ["a", "a"] or loads_of(drive) == ["a"]
    drive.seconds(12)
    assert loads_of(drive)[-1] == "b"


def test_a_grant_that_a_silent_front_may_book_yet_keeps_its_model() -> None:
    drive = home(4)
    drive.loads("a")
    drive.model("b", 4)
    lease = only(drive.turn("t", "a"), Place).lease
    boot = drive.boots.pop("a")
    drive.seconds(6)
    drive.boots["a"] = boot
    drive.load("b")
    drive.second()
    assert not drive.heard(Drain), "the front may hear of it ten seconds after it was granted"
    drive.runs("t", "a", lease)
    drive.seconds(10)
    assert not drive.heard(Drain)
    drive.ends("t", "a", lease)
    drive.seconds(2)
    assert unloads_of(drive) == ["a"]


def test_a_silent_front_is_waited_for_before_its_engine_is_unloaded() -> None:
    drive = home(10)
    drive.loads("a")
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    boot = drive.boots.pop("a")
    drive.seconds(6)
    drive.unload("a")
    drive.seconds(20)
    assert not drive.heard(Unload), "its turn may be streaming"
    drive.boots["a"] = boot
    drive.seconds(20)
    assert not drive.heard(Unload), "it is"
    drive.ends("t", "a", lease)
    drive.seconds(1)
    assert unloads_of(drive) == ["a"]


def test_a_front_that_stays_silent_is_not_waited_for_for_ever() -> None:
    drive = home(10)
    drive.loads("a")
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    drive.boots.pop("a")
    drive.seconds(6)
    drive.unload("a")
    drive.seconds(26)
    assert unloads_of(drive) == ["a"]


def test_memory_that_is_promised_is_given_to_nobody_else() -> None:
    drive = home(10)
    drive.loads("a", 6)
    lease = only(drive.turn("t", "a"), Place).lease
    drive.runs("t", "a", lease)
    drive.model("large", 8)
    drive.model("small", 4)
    drive.unload("a")
    drive.turn("l", "large")
    drive.second()
    drive.turn("s", "small")
    drive.seconds(10)
    assert loads_of(drive) == ["a"], "what is free now is a part of what the first one waits for"
    drive.ends("t", "a", lease)
    drive.seconds(3)
    assert loads_of(drive) == ["a", "large"]


def test_a_node_that_is_silent_for_a_while_is_no_reason_to_refuse() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.seconds(15)
    drive.unload("a")
    drive.seconds(3)
    for _ in range(15):
        drive.second(silent="n1")
    drive.turn("t", "a")
    for _ in range(8):
        drive.second(silent="n1")
    assert not drive.heard(Reject)
    drive.seconds(2)
    assert loads_of(drive) == ["a", "a"]
