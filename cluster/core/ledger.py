"""The book of one replica's KV memory.

The front keeps one as the authority; the router keeps a copy of it as a forecast, in which a grant is
booked from the moment it is given.  Both refuse what does not fit, so neither can over-commit.

    kv_tokens = reserved by leases + resident of idle sessions + free
    num_slots = leases             + idle sessions that hold a slot + free slots

A session's idle KV turns into a part of its lease when its next turn starts, and back when it ends.
All sizes are tokens, rounded up to whole blocks.  Sums are kept, not counted: `check` counts them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cluster.core.facts import Capacity
from cluster.core.ids import LeaseId, SessionKey, TurnId


@dataclass(frozen=True, slots=True)
class Reservation:
    lease: LeaseId
    turn: TurnId
    session: SessionKey
    reserved_tokens: int

    def resized(self, reserved_tokens: int) -> "Reservation":
        return Reservation(self.lease, self.turn, self.session, reserved_tokens)


@dataclass(frozen=True, slots=True)
class Resident:
    session: SessionKey
    tokens: int
    last_used: float


class Ledger:
    """Reservations and residents of one replica.  Both are read by all and changed here alone."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.leases: dict[LeaseId, Reservation] = {}
        self.resident: dict[SessionKey, Resident] = {}
        self.reserved_tokens = 0
        self.resident_tokens = 0
        self._num_running: dict[SessionKey, int] = {}
        self._is_in_order = True

    def blocks(self, tokens: int) -> int:
        """`tokens` rounded up to whole blocks."""
        block = self.capacity.block_tokens
        return -(-tokens // block) * block

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

    def runs(self, session: SessionKey) -> bool:
        """Whether a lease of this session is booked."""
        return session in self._num_running

    def idle(self) -> Collection[Resident]:
        """Idle sessions, the least recently used first."""
        if not self._is_in_order:
            ranked = sorted(self.resident.items(), key=lambda item: (item[1].last_used, item[0]))
            self.resident, self._is_in_order = dict(ranked), True
        return self.resident.values()

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
        self.adopt(reservation)

    def room_to_grow(self, lease: LeaseId, reserved_tokens: int) -> int:
        """Tokens missing before the lease may have `reserved_tokens` in all; 0 or less: it may."""
        more = self.blocks(reserved_tokens) - self.leases[lease].reserved_tokens
        return more - self.free_tokens

    def resize(self, lease: LeaseId, reserved_tokens: int) -> None:
        """Grows or shrinks a lease.  Raises ValueError where there is no room."""
        if self.room_to_grow(lease, reserved_tokens) > 0:
            raise ValueError(f"no room for {lease} to grow to {reserved_tokens}")
        self._lease(self.leases[lease].resized(reserved_tokens))

    def adopt(self, reservation: Reservation) -> None:
        """Takes in, or replaces, a lease that another book holds already, whether it fits here or not."""
        self.forget(reservation.session)
        self._lease(reservation)

    def _lease(self, reservation: Reservation) -> None:
        known = self.leases.get(reservation.lease)
        if known is not None:
            self._unlease(known)
        rounded = self.blocks(reservation.reserved_tokens)
        self.leases[reservation.lease] = reservation.resized(rounded)
        self.reserved_tokens += rounded
        self._num_running[reservation.session] = self._num_running.get(reservation.session, 0) + 1

    def _unlease(self, reservation: Reservation) -> None:
        """All but the lease itself, which may be replaced."""
        self.reserved_tokens -= reservation.reserved_tokens
        left = self._num_running.pop(reservation.session) - 1
        if left:
            self._num_running[reservation.session] = left

    def drop(self, lease: LeaseId) -> Reservation | None:
        """Takes a lease out, if it is there; nothing of it stays resident."""
        reservation = self.leases.pop(lease, None)
        if reservation is not None:
            self._unlease(reservation)
        return reservation

    def end(self, lease: LeaseId, resident_tokens: int, now: float) -> None:
        """Ends a lease; `resident_tokens` of its session stay, as far as they were reserved."""
        reservation = self.leases[lease]
        self.drop(lease)
        kept = min(self.blocks(resident_tokens), reservation.reserved_tokens)
        if kept > 0 and not self.runs(reservation.session):
            self.keep(reservation.session, kept, now)

    def keep(self, session: SessionKey, tokens: int, now: float) -> None:
        """Notes idle KV, where there is room to note it."""
        self.forget(session)
        rounded, needs_slot = self.blocks(tokens), self.capacity.resident_holds_slot
        if rounded <= self.free_tokens and (self.free_slots > 0 or not needs_slot):
            self._note(Resident(session, rounded, now))

    def _note(self, idle: Resident) -> None:
        last = next(reversed(self.resident.values()), None)
        if last is not None and (idle.last_used, idle.session) < (last.last_used, last.session):
            self._is_in_order = False
        self.resident[idle.session] = idle
        self.resident_tokens += idle.tokens

    def forget(self, session: SessionKey) -> None:
        """Evicts idle KV; a session that runs or is unknown is left as it is."""
        idle = self.resident.pop(session, None)
        if idle is not None:
            self.resident_tokens -= idle.tokens

    def forget_idle(self) -> None:
        """Evicts all idle KV."""
        for session in list(self.resident):
            self.forget(session)
        self._is_in_order = True

    def check(self) -> None:
        """Raises AssertionError where the book does not balance."""
        assert self.free_tokens >= 0, f"over-committed by {-self.free_tokens} tokens"
        assert self.free_slots >= 0, f"over-committed by {-self.free_slots} slots"
        for lease in self.leases.values():
            assert lease.reserved_tokens % self.capacity.block_tokens == 0, lease

    def recount(self) -> None:
        """Raises AssertionError where what is kept is not what a count says."""
        assert self.reserved_tokens == sum(lease.reserved_tokens for lease in self.leases.values())
        assert self.resident_tokens == sum(idle.tokens for idle in self.resident.values())
        running = [lease.session for lease in self.leases.values()]
        assert self._num_running == {session: running.count(session) for session in running}
        assert not self.resident.keys() & self._num_running.keys(), "a session runs and is idle"
        used = [(idle.last_used, idle.session) for idle in self.idle()]
        assert used == sorted(used), "idle sessions are out of order"
