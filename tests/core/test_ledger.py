"""The book of a replica's KV memory balances whatever is booked, grown, ended, kept and forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.core.eviction import victims
from cluster.core.facts import Capacity
from cluster.core.ids import LeaseId, SessionKey, TurnId
from cluster.core.ledger import Ledger, Reservation

CAPACITY = Capacity(kv_tokens=1000, num_slots=3, window_tokens=800, block_tokens=16)


def key(name: object) -> SessionKey:
    return SessionKey("t", str(name))


def lease(name: object, tokens: int, session: object = None) -> Reservation:
    return Reservation(LeaseId(str(name)), TurnId(str(name)), key(session or name), tokens)


def test_a_sessions_own_kv_is_a_part_of_what_it_books() -> None:
    ledger = Ledger(CAPACITY)
    ledger.keep(key("s"), 600, now=0.0)
    assert ledger.fits(key("s"), 900)
    assert not ledger.fits(key("other"), 900)
    ledger.book(lease("a", 900, "s"))
    assert ledger.resident_tokens == 0


def test_what_does_not_fit_is_not_booked() -> None:
    ledger = Ledger(CAPACITY)
    ledger.book(lease("a", 700))
    with pytest.raises(ValueError, match="no room"):
        ledger.book(lease("b", 400))
    with pytest.raises(ValueError, match="no room"):
        ledger.resize(LeaseId("a"), 1100)
    ledger.check()


def test_a_slot_is_kept_by_an_idle_session_where_the_engine_works_so() -> None:
    ledger = Ledger(CAPACITY)
    for name in ("a", "b", "c"):
        ledger.keep(key(name), 16, now=0.0)
    assert not ledger.fits(key("d"), 16)
    assert victims(ledger, key("d"), 16) == [key("a")]
    blocks_only = Ledger(Capacity(1000, 3, 800, resident_holds_slot=False))
    for name in ("a", "b", "c"):
        blocks_only.keep(key(name), 16, now=0.0)
    assert blocks_only.fits(key("d"), 16)


def test_ending_keeps_no_more_than_was_reserved() -> None:
    ledger = Ledger(CAPACITY)
    ledger.book(lease("a", 100))
    ledger.end(LeaseId("a"), 5000, now=1.0)
    assert ledger.resident_tokens == ledger.blocks(100)


steps = st.lists(
    st.tuples(
        st.sampled_from(["book", "grow", "end", "keep", "forget"]), st.integers(0, 5), st.integers(1, 900)
    )
)


@given(steps)
def test_it_balances(taken: list[tuple[str, int, int]]) -> None:
    ledger = Ledger(CAPACITY)
    for now, (step, name, tokens) in enumerate(taken):
        booked = LeaseId(str(name)) in ledger.leases
        match step:
            case "book" if not booked and (gone := victims(ledger, key(name), tokens)) is not None:
                for session in gone:
                    ledger.forget(session)
                ledger.book(lease(name, tokens))
            case "grow" if booked and ledger.room_to_grow(LeaseId(str(name)), tokens) <= 0:
                ledger.resize(LeaseId(str(name)), tokens)
            case "end" if booked:
                ledger.end(LeaseId(str(name)), tokens, float(now))
            case "keep" if not booked:
                ledger.keep(key(name), tokens, float(now))
            case "forget":
                ledger.forget(key(name))
            case _:
                pass
        ledger.check()
