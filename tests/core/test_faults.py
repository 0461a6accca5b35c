"""What goes wrong around the machine: silence, words that are lost, words that come twice or too late."""

from dataclasses import replace

import pytest

from cluster.core.commands import Commit, Drain, Place, Reject
from cluster.core.context import Limits
from cluster.core.errors import ContextLengthExceeded, Overloaded, ServerError
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentWithdrawn,
    DrainAsked,
    GatewayUp,
    GrantRefused,
    NodeGone,
    NodeReport,
    NodeUp,
    ReplicaDraining,
    ReplicaGone,
    ReplicaReport,
    StreamLost,
    TurnArrived,
)
from cluster.core.facts import Locality, Privacy
from cluster.core.ids import BootId, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId, SessionKey, TurnId
from tests.core.drive import CAUSE, Drive, only

REPORT = ReplicaReport(ReplicaId("r"), BootId("b"), (), (), (), CAUSE)


def told_again(name: str, **more: object) -> TurnArrived:
    turn = TurnArrived(TurnId(name), GatewayId("g"), SessionKey("t", name), "m", 30, CAUSE, prompt_tokens=10)
    return replace(turn, **more)


def lost(name: str, lease: str, prompt_tokens: int | None, generated: int, preempted: bool) -> StreamLost:
    return StreamLost(TurnId(name), LeaseId(lease), prompt_tokens, generated, preempted, True, CAUSE)


@pytest.mark.parametrize("gone", [None, NodeGone(NodeId("node of r"), CAUSE)])
def test_a_replica_that_was_silent_is_back_with_its_next_report(gone: NodeGone | None) -> None:
    drive = Drive()
    drive.declare()
    drive.ready()
    drive.arrive("running", 300)
    drive.start("1-1", 300, 310)
    drive.tell(gone) if gone else drive.tick(6.0)
    assert drive.machine.view(drive.now).replicas == ()
    assert not [each for each in drive.arrive("a") if isinstance(each, Place)]
    assert only(drive.alive(), Place).turn == "a"
    assert drive.machine.view(drive.now).replicas[0].reserved_tokens == 310 + 20


def test_a_replica_that_said_it_goes_is_not_brought_back_by_a_late_report() -> None:
    drive = Drive()
    drive.declare()
    drive.ready()
    drive.tick(6.0)
    drive.tell(ReplicaGone(ReplicaId("r"), BootId("b"), "stopped", CAUSE))
    drive.tell(REPORT)
    assert drive.machine.view(drive.now).replicas == ()


def test_a_node_that_was_silent_is_seen_again() -> None:
    drive = Drive()
    drive.tell(NodeUp(NodeId("n"), 100, CAUSE))
    drive.tick(11.0)
    assert drive.machine.view(drive.now).nodes == ()
    drive.tell(NodeReport(NodeId("n"), 40, CAUSE))
    assert [node.memory_bytes for node in drive.machine.view(drive.now).nodes] == [100]


def test_a_drain_is_said_until_the_front_has_heard_it() -> None:
    drive = Drive()
    drive.ready()
    assert only(drive.tell(DrainAsked(ReplicaId("r"), CAUSE)), Drain).replica == "r"
    assert only(drive.tell(REPORT), Drain).boot == "b"
    drive.tell(ReplicaDraining(ReplicaId("r"), BootId("b"), CAUSE))
    assert not drive.tell(REPORT)


def test_an_answer_that_has_begun_is_never_refused_for_patience() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", patience_s=5.0, max_tokens=500)
    drive.start("1-1", 10, 510)
    drive.now = 100.0
    drive.alive()
    drive.tell(lost("a", "1-1", 60, 50, preempted=True))
    drive.tick()
    assert not drive.heard(Reject)


def test_a_wait_is_counted_from_where_it_began() -> None:
    drive = Drive(Limits(max_wait_s=1800.0))
    drive.ready(num_slots=1)
    drive.arrive("a", max_tokens=500)
    drive.start("1-1", 10, 510)
    drive.now = 4000.0
    drive.alive()
    drive.tell(lost("a", "1-1", 60, 50, preempted=True))
    assert not [each for each in drive.tick() if isinstance(each, Reject)], "an hour of answering is no wait"


def test_a_gateway_that_committed_by_itself_is_not_contradicted() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", max_tokens=900)
    drive.start("1-1", 10, 910)
    drive.arrive("b", patience_s=10.0)
    drive.tell(told_again("b", committed=True))
    drive.now = 100.0
    drive.alive()
    drive.tick()
    assert not drive.heard(Reject)
    assert not drive.heard(Commit), "it has its 200"


def test_a_committed_turn_without_any_replica_fails_and_is_not_called_overload() -> None:
    drive = Drive()
    drive.declare()
    drive.arrive("a")
    for _ in range(16):
        drive.tell(GatewayUp(GatewayId("g"), CAUSE))
        drive.tick()
    assert drive.heard(Commit)
    drive.tell(DeploymentWithdrawn(DeploymentId("m"), "the file is cut short", CAUSE))
    drive.tick(5.0)
    error = only(drive.said, Reject).error
    assert isinstance(error, ServerError)
    assert "cut short" in str(error)


def test_a_committed_turn_outlives_the_time_until_a_new_router_knows_its_front() -> None:
    drive = Drive()
    drive.tell(told_again("a", committed=True, waited_s=100.0))
    drive.tick(1.0)
    assert only(drive.ready(), Place).turn == "a"


def test_who_waits_for_a_model_that_failed_is_told_why() -> None:
    drive = Drive()
    drive.declare("m")
    drive.arrive("a")
    drive.tell(DeploymentWithdrawn(DeploymentId("m"), "the file is cut short", CAUSE))
    drive.tick()
    assert "cut short" in str(only(drive.said, Reject).error)


def test_a_home_turn_does_not_wait_for_a_home_replica_that_failed() -> None:
    drive = Drive()
    drive.declare("m")
    drive.ready("cloud", locality=Locality.HOSTED)
    drive.arrive("a", privacy=Privacy.LOCAL_ONLY)
    drive.tell(DeploymentWithdrawn(DeploymentId("m"), "too little memory", CAUSE))
    drive.tick()
    assert isinstance(only(drive.said, Reject).error, Overloaded)
    assert "may not leave" in str(only(drive.arrive("b", privacy=Privacy.LOCAL_ONLY), Reject).error)


def test_a_prompt_that_fills_the_whole_memory_and_wants_no_output_has_a_place() -> None:
    drive = Drive()
    drive.ready(kv_tokens=500, window_tokens=500)
    assert only(drive.arrive("a", 500, max_tokens=0), Place).reserved_tokens == 500


def test_an_open_ended_answer_that_fills_all_there_is_says_so() -> None:
    drive = Drive()
    drive.ready(kv_tokens=500, window_tokens=500)
    place = only(drive.arrive("a", 100, max_tokens=None), Place)
    drive.start(place.lease, 100, 500)
    error = only(drive.tell(lost("a", place.lease, 500, 400, preempted=True)), Reject).error
    assert isinstance(error, ContextLengthExceeded)
    assert "501 tokens (100 in the messages, 401 in the completion)" in str(error)


def test_what_a_loading_replica_may_hold_is_not_refused() -> None:
    drive = Drive()
    drive.tell(DeploymentDeclared(DeploymentId("large"), "m", Locality.LOCAL, CAUSE))
    drive.ready("small", kv_tokens=300, window_tokens=300)
    assert not [each for each in drive.arrive("a", 800) if isinstance(each, Reject)]
    drive.tell(DeploymentWithdrawn(DeploymentId("large"), "too little memory", CAUSE))
    refused = only(drive.tell(replace(REPORT, replica=ReplicaId("small"))), Reject)
    assert isinstance(refused.error, ContextLengthExceeded)


def test_a_refused_grant_is_not_tried_again_before_its_front_is_heard() -> None:
    drive = Drive()
    drive.ready()
    place = only(drive.arrive("a"), Place)
    assert not drive.tell(GrantRefused(TurnId("a"), place.lease, "stale_ticket", None, CAUSE))
    assert only(drive.tell(REPORT), Place).turn == "a"


def test_a_turn_that_waits_where_its_lease_is_over_is_placed_again() -> None:
    drive = Drive()
    drive.ready()
    drive.arrive("a")
    drive.start("1-1")
    drive.booked.clear()
    drive.tell(replace(REPORT, ended=(LeaseId("1-1"),)))
    assert only(drive.tell(told_again("a", committed=True)), Place).turn == "a"


def test_a_turn_whose_grant_is_void_is_not_refused_for_it_may_be_running() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("a", patience_s=5.0)
    for _ in range(3):
        drive.tick(4.0)
        drive.alive()
    assert [place.turn for place in drive.heard(Place)] == ["a", "a"]
    assert not drive.heard(Reject)
