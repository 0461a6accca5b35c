"""The book of one replica's KV memory.

The front keeps one as the authority; the router keeps a copy of it as a forecast, in which a grant is
booked from the moment it is given.  Both refuse what does not fit, so neither can over-commit.

    kv_tokens = reserved by leases + resident of idle sessions + free
    num_slots = leases             + idle sessions that hold a slot + free slots

A session's idle KV turns into a part of its lease when its next turn starts, and back when it ends.
All sizes are tokens, rounded up to whole blocks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cluster.core.facts import Capacity
from cluster.core.ids import LeaseId, SessionKey, TurnId


@dataclass(frozen=True, slots=True)
class Reservation:
    lease: LeaseId
    turn: TurnId
    session: SessionKey
    reserved_tokens: int


@dataclass(frozen=True, slots=True)
class Resident:
    session: SessionKey
    tokens: int
    last_used: float


class Ledger:
    """Reservations and residents of one replica."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.leases: dict[LeaseId, Reservation] = {}
        self.resident: dict[SessionKey, Resident] = {}

    def blocks(self, tokens: int) -> int:
        """`tokens` rounded up to whole blocks."""
        block = self.capacity.block_tokens
        return -(-tokens // block) * block

    @property
    def reserved_tokens(self) -> int:
        return sum(lease.reserved_tokens for lease in self.leases.values())

    @property
    def resident_tokens(self) -> int:
        return sum(idle.tokens for idle in self.resident.values())

    @property
    def free_tokens(self) -> int:
        return self.capacity.kv_tokens - self.reserved_tokens - self.resident_tokens

    @property
    def free_slots(self) -> int:
        idle = len(self.resident) if self.capacity.resident_holds_slot else 0
        return self.capacity.num_slots - len(self.leases) - idle

    def could_hold(self, tokens: int) -> bool:
        """Whether an empty replica could hold a sequence of this size."""
        return self.blocks(tokens) <= min(self.capacity.kv_tokens, self.capacity.window_tokens)

    def fits(self, session: SessionKey, tokens: int, evicted: Iterable[SessionKey] = ()) -> bool:
        """Whether a lease of this size can be booked once the `evicted` sessions are gone."""
        gone = {session, *evicted} & self.resident.keys()
        freed = sum(self.resident[key].tokens for key in gone)
        slots = len(gone) if self.capacity.resident_holds_slot else 0
        return self.blocks(tokens) <= self.free_tokens + freed and self.free_slots + slots > 0

    def book(self, reservation: Reservation) -> None:
        """Takes a lease in.  Raises ValueError where it does not fit: ask `fits` first."""
        if reservation.lease in self.leases or not self.fits(
            reservation.session, reservation.reserved_tokens
        ):
            raise ValueError(f"no room for {reservation}")
        self.resident.pop(reservation.session, None)
        rounded = self.blocks(reservation.reserved_tokens)
        self.leases[reservation.lease] = replace(reservation, reserved_tokens=rounded)

    def room_to_grow(self, lease: LeaseId, reserved_tokens: int) -> int:
        """Tokens missing before the lease may have `reserved_tokens` in all; 0 or less: it may."""
        more = self.blocks(reserved_tokens) - self.leases[lease].reserved_tokens
        return more - self.free_tokens

    def resize(self, lease: LeaseId, reserved_tokens: int) -> None:
        """Grows or shrinks a lease.  Raises ValueError where there is no room."""
        if self.room_to_grow(lease, reserved_tokens) > 0:
            raise ValueError(f"no room for {lease} to grow to {reserved_tokens}")
        rounded = self.blocks(reserved_tokens)
        self.leases[lease] = replace(self.leases[lease], reserved_tokens=rounded)

    def adopt(self, reservation: Reservation) -> None:
        """Takes in, or replaces, a lease that another book holds already, whether it fits here or not."""
        self.resident.pop(reservation.session, None)
        rounded = self.blocks(reservation.reserved_tokens)
        self.leases[reservation.lease] = replace(reservation, reserved_tokens=rounded)

    def end(self, lease: LeaseId, resident_tokens: int, now: float) -> None:
        """Ends a lease; `resident_tokens` of its session stay, as far as they were reserved."""
        reservation = self.leases.pop(lease)
        kept = min(self.blocks(resident_tokens), reservation.reserved_tokens)
        if kept > 0 and not self._running(reservation.session):
            self.keep(reservation.session, kept, now)

    def keep(self, session: SessionKey, tokens: int, now: float) -> None:
        """Notes idle KV, where there is room to note it."""
        self.resident.pop(session, None)
        needs_slot = self.capacity.resident_holds_slot
        if self.blocks(tokens) <= self.free_tokens and (self.free_slots > 0 or not needs_slot):
            self.resident[session] = Resident(session, self.blocks(tokens), now)

    def forget(self, session: SessionKey) -> None:
        """Evicts idle KV; a session that runs or is unknown is left as it is."""
        self.resident.pop(session, None)

    def check(self) -> None:
        """Raises AssertionError where the book does not balance."""
        assert self.free_tokens >= 0, f"over-committed by {-self.free_tokens} tokens"
        assert self.free_slots >= 0, f"over-committed by {-self.free_slots} slots"
        for lease in self.leases.values():
            assert lease.reserved_tokens % self.capacity.block_tokens == 0, lease
        for session in self.resident:
            assert not self._running(session), session

    def _running(self, session: SessionKey) -> bool:
        return any(lease.session == session for lease in self.leases.values())
