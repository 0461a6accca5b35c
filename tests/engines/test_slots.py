"""Which slot a session gets, and that nobody computes in a slot that is being emptied."""

from __future__ import annotations

from cluster.core.ids import SessionKey
from cluster.deployments.slots import Slots

ANN, BOB, CLEO = (SessionKey("home", name) for name in ("ann", "bob", "cleo"))


def used(slots: Slots, session: SessionKey) -> int:
    slot = slots.take(session)
    assert slot is not None
    slots.release(slot)
    return slot


def test_a_session_finds_its_own_slot_again() -> None:
    slots = Slots(2)
    first, second = used(slots, ANN), used(slots, BOB)
    assert first != second
    assert used(slots, ANN) == first
    assert used(slots, CLEO) == second, "the longest idle one"


def test_nobody_gets_a_slot_before_it_is_empty() -> None:
    slots = Slots(2)
    emptied = used(slots, ANN)
    assert slots.forget(ANN) == [emptied]
    other = slots.take(BOB)
    assert other != emptied
    assert slots.take(CLEO) is None
    slots.release(emptied)
    assert slots.take(CLEO) == emptied


def test_a_slot_at_work_is_not_emptied() -> None:
    slots = Slots(1)
    slot = slots.take(ANN)
    assert slots.forget(ANN) == []
    assert slot is not None
    slots.release(slot)
    assert slots.forget(ANN) == [slot]
    assert slots.forget(BOB) == []
