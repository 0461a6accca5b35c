"""What is kept in order to find a place quickly decides nothing: a naive scan of everything says the same."""

from collections.abc import Sequence

from hypothesis import HealthCheck, settings

from bench.decisions.naive import scan
from cluster.core.commands import Command, Evict, Place
from cluster.core.events import Event, ReplicaReport
from cluster.core.eviction import victims_for_tokens
from cluster.core.facts import Capacity, ResidentView, Speed
from cluster.core.ids import BootId, LeaseId, ReplicaId, SessionKey, TurnId
from cluster.core.ledger import Ledger, Reservation
from cluster.core.machine import RouterMachine
from cluster.core.view import PoolView
from tests.core.drive import CAUSE, Drive, only
from tests.core.test_machine_properties import Machine
from tests.core.world import World


class Twins(RouterMachine):
    """The machine, and beside it one that scans: both hear everything and have to say the same."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.naive = RouterMachine(epoch, scan)

    def handle(self, event: Event, now: float) -> list[Command]:
        said = super().handle(event, now)
        assert list(map(repr, said)) == list(map(repr, self.naive.handle(event, now)))
        return said

    def check(self) -> None:
        super().check()
        self.naive.check()

    def view(self, now: float) -> PoolView:
        seen = super().view(now)
        assert seen == self.naive.view(now)
        return seen


class TwinWorld(World):
    def make_machine(self) -> RouterMachine:
        return Twins(self.epoch)


class TwinsAgree(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.world = TwinWorld()


TestTwins = TwinsAgree.TestCase
TestTwins.settings = settings(
    max_examples=20,
    stateful_step_count=50,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def told(drive: Drive, replica: str, residents: Sequence[tuple[str, int]]) -> list[Command]:
    """The front's whole book: nothing runs, these are idle."""
    views = tuple(ResidentView(SessionKey("t", session), tokens) for session, tokens in residents)
    return drive.tell(ReplicaReport(ReplicaId(replica), BootId("b"), (), views, (), CAUSE))


def test_the_soonest_answer_wins_whatever_is_said_about_the_others() -> None:
    drive = Drive()
    for name, speed in (("slow", 100.0), ("fast", 900.0), ("middle", 500.0)):
        drive.ready(name, num_slots=1, speed=Speed(speed, 100.0))
    placed = [only(drive.arrive(f"t{index}"), Place).replica for index in range(3)]
    assert placed == ["fast", "middle", "slow"]


def test_a_prefix_wins_over_speed_only_where_it_saves_more() -> None:
    drive = Drive()
    drive.ready("slow", speed=Speed(100.0, 100.0))
    drive.ready("fast", speed=Speed(1000.0, 100.0))
    told(drive, "slow", [("little", 10), ("much", 590)])
    assert only(drive.arrive("a", 600, session="little"), Place).replica == "fast"
    assert only(drive.arrive("b", 600, session="much", max_tokens=1), Place).replica == "slow"


def test_a_session_that_was_evicted_is_at_home_no_more() -> None:
    drive = Drive()
    drive.ready("near", speed=Speed(100.0, 100.0))
    told(drive, "near", [("s", 500)])
    drive.ready("far", speed=Speed(500.0, 100.0))
    told(drive, "near", [])
    assert only(drive.arrive("a", 600, session="s"), Place).replica == "far"


def test_between_equals_nobody_is_evicted_without_need() -> None:
    drive = Drive()
    drive.ready("a full one")
    drive.ready("b empty")
    drive.ready("c full")
    for name in ("a full one", "c full"):
        told(drive, name, [(f"idle in {name}", 900)])
    commands = drive.arrive("t", 500)
    assert only(commands, Place).replica == "b empty"
    assert not [command for command in commands if isinstance(command, Evict)]


def test_a_turn_that_waits_gets_the_first_place_that_comes_free_anywhere() -> None:
    drive = Drive()
    drive.ready("r", num_slots=1)
    drive.ready("s", num_slots=1)
    for name in ("first", "second", "third"):
        drive.arrive(name)
    booked = {place.replica: place for place in drive.heard(Place)}
    assert set(booked) == {"r", "s"}
    drive.start(booked[ReplicaId("r")].lease)
    again = drive.finish(booked[ReplicaId("r")].turn, booked[ReplicaId("r")].lease)
    assert only(again, Place).turn == TurnId("third")


def test_idle_sessions_go_by_age_in_whatever_order_they_came() -> None:
    ledger = Ledger(Capacity(1000, 8, 1000))
    for name, used in (("young", 9.0), ("old", 1.0), ("middle", 5.0)):
        ledger.keep(SessionKey("t", name), 100, used)
    chosen = victims_for_tokens(ledger, 250)
    assert chosen is not None
    assert [session.session for session in chosen] == ["old", "middle", "young"]


def test_the_sums_of_a_book_are_those_of_its_rows() -> None:
    ledger, session = Ledger(Capacity(1000, 8, 1000, 16)), SessionKey("t", "s")
    ledger.keep(session, 100, 1.0)
    for lease in ("a", "b"):
        ledger.book(Reservation(LeaseId(lease), TurnId(lease), session, 120))
    ledger.resize(LeaseId("a"), 200)
    ledger.adopt(Reservation(LeaseId("b"), TurnId("b"), session, 300))
    ledger.end(LeaseId("a"), 150, 2.0)
    assert (ledger.reserved_tokens, ledger.resident_tokens) == (304, 0), "the session still runs"
    ledger.end(LeaseId("b"), 150, 3.0)
    assert (ledger.reserved_tokens, ledger.resident_tokens) == (0, 160)
    ledger.recount()
