"""Nobody but the router makes a ticket, and a ticket is good for one boot alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import codec
from cluster.core.commands import Extend
from cluster.core.ids import BootId, Cause, LeaseId, ReplicaId, SessionKey, TurnId
from cluster.ticket import BadTicket, Ticket, seal, sign, unseal, verify

SECRET = b"0" * 32
TICKET = Ticket(LeaseId("1-1"), TurnId("turn"), SessionKey("home", "säsøn", 3), 700, BootId("boot"), 4)


def test_it_comes_back_as_it_was() -> None:
    assert verify(SECRET, sign(SECRET, TICKET)) == TICKET


def test_the_secret_of_another_boot_does_not_open_it() -> None:
    with pytest.raises(BadTicket, match="signed by somebody else"):
        verify(b"1" * 32, sign(SECRET, TICKET))


@given(place=st.integers(0, 200), letter=st.sampled_from("Aa0-_.="))
def test_one_letter_changed_is_enough(place: int, letter: str) -> None:
    sealed = sign(SECRET, TICKET)
    place %= len(sealed)
    changed = sealed[:place] + letter + sealed[place + 1 :]
    try:
        assert verify(SECRET, changed) == TICKET  # the last letter has bits that say nothing
    except BadTicket:
        assert changed != sealed


@given(text=st.text(max_size=60))
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(BadTicket):
        verify(SECRET, text)


def test_a_sealed_command_is_no_ticket() -> None:
    command = Extend(ReplicaId("r"), BootId("b"), LeaseId("l"), 700, Cause("c"))
    with pytest.raises(BadTicket, match="something else"):
        verify(SECRET, seal(SECRET, codec.encode(command)))


def test_a_ticket_is_no_command() -> None:
    with pytest.raises(ValueError, match="neither an event nor a command"):
        codec.decode(unseal(SECRET, sign(SECRET, TICKET)))
