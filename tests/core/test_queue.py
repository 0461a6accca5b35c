"""Fair order: tenants share, one tenant's turns keep theirs, and what nobody asked for costs nothing."""

from cluster.core.commands import Place
from cluster.core.events import TurnCancelled
from cluster.core.ids import TurnId
from tests.core.drive import CAUSE, Drive


def served(drive: Drive, number: int) -> str:
    """Ends the turn that was placed as number `number`; answers who came next."""
    lease = f"1-{number}"
    turn = next(place.turn for place in drive.heard(Place) if place.lease == lease)
    drive.start(lease)
    drive.finish(turn, lease)
    return drive.heard(Place)[-1].turn


def waiting(drive: Drive) -> list[str]:
    return [turn.turn for turn in drive.machine.view(drive.now).queue]


def test_two_busy_tenants_take_turns() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("running", tenant="somebody")
    for index in range(3):
        drive.arrive(f"ann{index}", tenant="ann")
    for index in range(3):
        drive.arrive(f"bob{index}", tenant="bob")
    order = [served(drive, number)[:3] for number in range(1, 7)]
    assert [sorted(pair) for pair in (order[:2], order[2:4], order[4:])] == [["ann", "bob"]] * 3


def test_work_counts_and_not_turns() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("running", tenant="somebody")
    for index in range(2):
        drive.arrive(f"large{index}", 800, tenant="ann")
    for index in range(4):
        drive.arrive(f"small{index}", 100, tenant="bob")
    assert waiting(drive).index("large1") == 5, "four small turns are less work than one large one"


def test_cancelled_turns_do_not_put_their_tenant_behind() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    drive.arrive("running", tenant="somebody")
    for index in range(5):
        drive.arrive(f"given up {index}", 900, tenant="ann")
    for index in range(5):
        drive.tell(TurnCancelled(TurnId(f"given up {index}"), CAUSE))
    for index in range(2):
        drive.arrive(f"bob{index}", tenant="bob")
    drive.arrive("ann", tenant="ann")
    assert waiting(drive)[:2] in (["ann", "bob0"], ["bob0", "ann"])


def test_what_was_served_while_nobody_waited_is_not_held_against_a_tenant() -> None:
    drive = Drive()
    drive.ready(num_slots=1)
    for number in range(1, 6):
        drive.arrive(f"alone{number}", 900, tenant="ann")
        served(drive, number)
    drive.arrive("running", tenant="somebody")
    for index in range(3):
        drive.arrive(f"bob{index}", tenant="bob")
    drive.arrive("ann", tenant="ann")
    assert waiting(drive).index("ann") <= 1
