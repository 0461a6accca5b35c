"""What people see of a model: whether it is waited for, whether it could ever fit, what it holds where."""

from dataclasses import replace

from cluster.core.events import ReplicaGone
from cluster.core.facts import Feature
from cluster.core.ids import BootId, ReplicaId
from cluster.core.layout import ModelWish
from tests.core.drive import CAUSE
from tests.core.managed import GIB, home, wish_of


def test_a_model_is_wanted_from_the_wish_until_it_is_ready_however_often_it_fails() -> None:
    drive = home(10)
    drive.loads("a")
    drive.unload("a")
    drive.seconds(3)
    assert not drive.status("a").wanted
    drive.load("a")
    drive.seconds(1)
    drive.fails("a")
    drive.seconds(1)
    assert (drive.status("a").state, drive.status("a").wanted) == ("unloaded", True)
    drive.seconds(5)
    assert (drive.status("a").state, drive.status("a").wanted) == ("loading", True)
    drive.started("a")
    assert (drive.status("a").state, drive.status("a").wanted) == ("ready", False)


def test_whoever_unloads_a_model_on_its_way_ends_the_wish() -> None:
    drive = home(10)
    drive.model("a", 4)
    drive.load("a")
    drive.unload("a")
    assert not drive.status("a").wanted


def test_a_waiting_turn_wants_its_model() -> None:
    drive = home(4)
    drive.loads("busy", 4)
    drive.model("b", 4)
    drive.turn("t", "b")
    assert drive.status("b").wanted
    assert drive.status("b").num_waiting == 1


def test_what_no_memory_here_could_hold_does_not_fit() -> None:
    drive = home(10)
    drive.model("huge", 40)
    drive.model("a", 4)
    drive.load("huge")
    drive.seconds(12)
    huge = drive.status("huge")
    assert (huge.state, huge.fits) == ("unloaded", False)
    assert "huge fits nowhere: huge needs 40 GiB" in huge.reason
    assert drive.status("a").fits


def test_a_gang_tells_what_it_holds_on_each_node() -> None:
    drive = home(10, 9)
    drive.model("a", 8, 2)
    drive.seconds(2)
    status = drive.status("a")
    assert dict(zip(status.nodes, status.node_bytes, strict=True)) == {"n1": 4 * GIB, "n2": 4 * GIB}
    assert sum(status.node_bytes) == status.memory_bytes


def test_an_engine_that_dies_is_counted_and_one_that_is_unloaded_is_not() -> None:
    drive = home(10)
    drive.loads("a")
    drive.loads("b")
    drive.unload("b")
    drive.seconds(3)
    assert drive.machine.view(drive.now).counters.num_replicas_lost == 0
    drive.tell(ReplicaGone(ReplicaId("a"), BootId(drive.boots.pop("a")), "the engine died", CAUSE))
    assert drive.machine.view(drive.now).counters.num_replicas_lost == 1


def test_each_model_counts_its_own_loads() -> None:
    drive = home(4)
    drive.loads("a")
    drive.model("b", 4)
    drive.load("b")
    drive.seconds(3)
    drive.fails("b")
    drive.seconds(6)
    drive.started("b")
    a, b = drive.status("a").totals, drive.status("b").totals
    assert (a.num_loads, a.num_ready, a.num_unloads, a.num_swapped, a.num_failed) == (1, 1, 1, 1, 0)
    assert (b.num_loads, b.num_ready, b.num_unloads, b.num_swapped, b.num_failed) == (2, 1, 1, 0, 1), (
        "what was left of a failed start is unloaded"
    )
    assert b.load_ms > 0


def test_a_model_that_is_not_loaded_tells_what_it_will_be() -> None:
    drive = home(10)
    drive.loads("busy", 8)
    embedder = replace(wish_of("e", 4).variants[0], embeds=True)
    drive.model("chat", 4)
    drive.model("embedder", 4, wish=ModelWish((embedder,)))
    drive.model("huge", 40)
    told = {name: drive.status(name) for name in ("chat", "embedder", "huge")}
    assert {name: each.state for name, each in told.items()} == dict.fromkeys(told, "unloaded")
    assert {name: each.window_tokens for name, each in told.items()} == {
        "chat": 4096,
        "embedder": 4096,
        "huge": 0,
    }
    assert told["chat"].features == {Feature.CHAT}
    assert told["embedder"].features == {Feature.EMBEDDINGS}
