"""Where turns go: to their prefix, home before hosted, around boots that lost them; and who makes room."""

from cluster.core.commands import Evict, Place, Reject
from cluster.core.errors import Overloaded, ReplicaLost
from cluster.core.events import (
    DrainAsked,
    GrantRefused,
    LeaseEnded,
    ReplicaGone,
    ReplicaReport,
    StreamLost,
)
from cluster.core.facts import Locality, Privacy, ResidentView
from cluster.core.ids import BootId, ReplicaId, SessionKey, TurnId
from tests.core.drive import CAUSE, Drive, only


def resident(drive: Drive, replica: str, session: str, tokens: int) -> None:
    view = ResidentView(SessionKey("t", session), tokens)
    drive.tell(ReplicaReport(ReplicaId(replica), BootId("b"), (), (view,), (), CAUSE))


def test_a_session_goes_where_its_prefix_is() -> None:
    drive = Drive()
    drive.ready("near")
    drive.ready("far")
    for replica in ("near", "far"):
        resident(drive, replica, "other", 10)
    resident(drive, "far", "s", 500)
    assert only(drive.arrive("a", 600, session="s"), Place).replica == "far"
    assert drive.machine.view(0).counters.num_affinity_hits == 1


def test_the_least_recently_used_idle_session_makes_room() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000)
    views = (ResidentView(SessionKey("t", "old"), 400), ResidentView(SessionKey("t", "young"), 400))
    drive.tell(ReplicaReport(ReplicaId("r"), BootId("b"), (), views[:1], (), CAUSE))
    drive.now = 5.0
    drive.tell(ReplicaReport(ReplicaId("r"), BootId("b"), (), views, (), CAUSE))
    commands = drive.arrive("a", 500)
    assert [each.session.session for each in commands if isinstance(each, Evict)] == ["old"]
    assert only(commands, Place).reserved_tokens == 510


def test_running_turns_are_never_evicted() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000)
    drive.arrive("a", 800)
    drive.arrive("b", 800)
    assert [place.turn for place in drive.heard(Place)] == ["a"]
    assert not drive.heard(Evict)


def test_local_only_never_leaves_the_house() -> None:
    drive = Drive()
    drive.ready("cloud", locality=Locality.HOSTED)
    error = only(drive.arrive("a", privacy=Privacy.LOCAL_ONLY), Reject).error
    assert isinstance(error, Overloaded)
    assert error.status == 503


def test_home_comes_before_hosted() -> None:
    drive = Drive()
    drive.ready("cloud", locality=Locality.HOSTED)
    drive.ready("home", locality=Locality.LOCAL)
    assert only(drive.arrive("a"), Place).replica == "home"


def test_a_small_node_gets_no_long_prompt() -> None:
    drive = Drive()
    drive.ready("small", kv_tokens=2000, window_tokens=2000)
    drive.ready("large", kv_tokens=32000, window_tokens=32000)
    for index in range(4):
        assert only(drive.arrive(f"t{index}", 5000), Place).replica == "large"


def test_a_lost_turn_is_placed_again_elsewhere() -> None:
    drive = Drive()
    drive.ready("one", boot="b1")
    drive.ready("two", boot="b2")
    first = only(drive.arrive("a"), Place)
    lost = StreamLost(TurnId("a"), first.lease, None, 0, False, True, CAUSE)
    assert only(drive.tell(lost), Place).replica != first.replica


def test_a_replica_that_broke_a_stream_off_gets_nothing_until_its_front_is_heard() -> None:
    """It may be dead: a turn that is sent there again and again would use up its chances in no time."""
    drive = Drive()
    drive.ready()
    first = only(drive.arrive("a"), Place)
    lost = StreamLost(TurnId("a"), first.lease, None, 0, False, True, CAUSE)
    assert not [command for command in drive.tell(lost) if isinstance(command, Place)]
    assert not [command for command in drive.arrive("b") if isinstance(command, Place)]
    assert [command.turn for command in drive.alive() if isinstance(command, Place)] == ["b"]


def test_a_turn_is_not_tried_again_at_once_where_it_was_lost_however_alive_that_seems() -> None:
    """The front of an engine that dies hears of it some time after its turns."""
    drive = Drive()
    drive.ready()
    first = only(drive.arrive("a"), Place)
    drive.tell(StreamLost(TurnId("a"), first.lease, None, 0, False, True, CAUSE))
    drive.alive()
    drive.tick(1.9)
    drive.alive()
    assert len(drive.heard(Place)) == 1
    drive.ready("other", boot="b2")
    assert drive.heard(Place)[-1].replica == "other"


def test_a_turn_goes_on_where_it_was_lost_if_that_lives_on() -> None:
    drive = Drive()
    drive.ready()
    first = only(drive.arrive("a"), Place)
    drive.tell(StreamLost(TurnId("a"), first.lease, None, 0, False, True, CAUSE))
    drive.alive()
    again = only(drive.tick(2.0), Place)
    assert (again.turn, again.replica) == ("a", "r")


def test_a_begun_answer_that_cannot_go_on_says_so() -> None:
    drive = Drive()
    drive.ready()
    place = only(drive.arrive("a"), Place)
    lost = StreamLost(TurnId("a"), place.lease, None, 7, False, False, CAUSE)
    assert isinstance(only(drive.tell(lost), Reject).error, ReplicaLost)


def test_a_turn_that_breaks_engines_is_given_up() -> None:
    drive = Drive()
    drive.ready()
    commands = drive.arrive("a")
    for _ in range(3):
        place = only(commands, Place)
        lost = StreamLost(TurnId("a"), place.lease, None, 0, False, True, CAUSE)
        commands = drive.tell(lost) + drive.alive() + drive.tick(2.0)
    assert isinstance(only(commands, Reject).error, ReplicaLost)


def test_a_refused_grant_waits_for_the_fronts_next_word() -> None:
    drive = Drive()
    drive.ready()
    place = only(drive.arrive("a"), Place)
    assert not drive.tell(GrantRefused(TurnId("a"), place.lease, "no_room", 300, CAUSE))
    report = ReplicaReport(ReplicaId("r"), BootId("b"), (), (), (), CAUSE)
    assert only(drive.tell(report), Place).reserved_tokens == 310, "the exact size is known now"


def test_the_fronts_word_and_the_gateways_word_of_a_refusal_come_in_any_order() -> None:
    drive = Drive()
    drive.ready()
    place = only(drive.arrive("a"), Place)
    drive.tell(LeaseEnded(ReplicaId("r"), BootId("b"), place.lease, 0, CAUSE))
    again = drive.tell(GrantRefused(TurnId("a"), place.lease, "no_room", 300, CAUSE))
    assert not again, "the front speaks first"
    report = ReplicaReport(ReplicaId("r"), BootId("b"), (), (), (), CAUSE)
    assert only(drive.tell(report), Place).turn == "a"


def test_an_unpresented_grant_is_void_after_ten_seconds() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    first = only(drive.arrive("a"), Place)
    for _ in range(3):
        drive.tick(4.0)
        drive.alive()
    second = drive.heard(Place)[-1]
    assert (second.turn, second.lease != first.lease) == ("a", True)


def test_a_draining_replica_takes_nothing_new() -> None:
    drive = Drive()
    drive.ready("one")
    drive.ready("two")
    drive.tell(DrainAsked(ReplicaId("one"), CAUSE))
    for index in range(4):
        assert only(drive.arrive(f"t{index}"), Place).replica == "two"


def test_words_of_an_earlier_boot_change_nothing() -> None:
    drive = Drive()
    drive.ready(boot="b2")
    drive.tell(ReplicaGone(ReplicaId("r"), BootId("b1"), "late news", CAUSE))
    assert only(drive.arrive("a"), Place).boot == "b2"
