"""The ledger of the replica, and the engine's memory kept in step with it.

One lock orders what changes both: nobody computes in room whose last holder the engine has not forgotten.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from cluster.core.eviction import victims, victims_for_tokens
from cluster.core.facts import LeaseView, ResidentView
from cluster.core.ids import LeaseId, SessionKey
from cluster.core.ledger import Ledger, Reservation
from cluster.deployments.engine import Engine, EngineFault, EngineLost
from cluster.front.counters import FrontCounters


class NoRoom(Exception):
    """The reservation does not fit, idle sessions evicted or not."""


class Book:
    """Leases and idle sessions of one engine.  All sizes in tokens."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        counters: FrontCounters,
        now: Callable[[], float],
        evict_s: float,
    ) -> None:
        self.ledger = ledger
        self._engine, self._counters, self._now, self._evict_s = engine, counters, now, evict_s
        self._lock = asyncio.Lock()

    def reserved(self, lease: LeaseId) -> int:
        return self.ledger.leases[lease].reserved_tokens

    @property
    def spare_tokens(self) -> int:
        """Free, or held by idle sessions."""
        return self.ledger.free_tokens + self.ledger.resident_tokens

    async def open(self, reservation: Reservation) -> None:
        """Books a lease, evicting idle sessions where that makes the room.  Raises NoRoom."""
        async with self._lock:
            idle = self._victims(reservation)
            self._forget(idle)
            self.ledger.book(reservation)
            try:
                await self._evict(idle)
            except BaseException:
                self.ledger.end(reservation.lease, 0, self._now())
                raise

    def _victims(self, reservation: Reservation) -> list[SessionKey]:
        session, tokens = reservation.session, reservation.reserved_tokens
        # What was resident of a rewritten history may be more than the new reservation covers.
        own = self.ledger.resident.get(session)
        rewritten = [session] if own and own.tokens > self.ledger.blocks(tokens) else []
        others = victims(self.ledger, session, tokens)
        if others is None:
            raise NoRoom
        return rewritten + others

    async def grow(self, lease: LeaseId, reserved_tokens: int) -> bool:
        """Lets a lease have `reserved_tokens` in all; False where there is no room, or no lease."""
        # A turn that is stopped meanwhile must not leave an eviction half done.
        return await asyncio.shield(self._grow(lease, reserved_tokens))

    async def _grow(self, lease: LeaseId, reserved_tokens: int) -> bool:
        async with self._lock:
            if lease not in self.ledger.leases:
                return False
            if reserved_tokens <= self.reserved(lease):
                return True
            idle = victims_for_tokens(self.ledger, self.ledger.room_to_grow(lease, reserved_tokens))
            if idle is None:
                return False
            self._forget(idle)
            self.ledger.resize(lease, reserved_tokens)
            await self._evict(idle)
            return True

    async def close(self, lease: LeaseId, resident_tokens: int) -> int:
        """Ends a lease whose sequence is free.  Returns what stays resident of its session."""
        async with self._lock:
            session = self.ledger.leases[lease].session
            leases = self.ledger.leases.values()
            # What another turn of the session leaves is kept; a second copy would be counted nowhere.
            is_shared = sum(other.session == session for other in leases) > 1
            if resident_tokens <= 0 or is_shared:
                resident_tokens = 0
                with contextlib.suppress(EngineLost, EngineFault, TimeoutError):
                    await self._evict([session])
            self.ledger.end(lease, resident_tokens, self._now())
            idle = self.ledger.resident.get(session)
            return idle.tokens if idle else 0

    async def evict(self, session: SessionKey) -> None:
        """Forgets an idle session; one that runs or is unknown is left as it is."""
        # A router that waits no longer must not leave it half done.
        await asyncio.shield(self._evict_idle(session))

    async def _evict_idle(self, session: SessionKey) -> None:
        async with self._lock:
            if session in self.ledger.resident:
                self._forget([session])
                await self._evict([session])

    def leases(self) -> tuple[LeaseView, ...]:
        leases = self.ledger.leases.values()
        return tuple(LeaseView(one.lease, one.turn, one.session, one.reserved_tokens) for one in leases)

    def resident(self) -> tuple[ResidentView, ...]:
        return tuple(ResidentView(idle.session, idle.tokens) for idle in self.ledger.resident.values())

    def _forget(self, sessions: Iterable[SessionKey]) -> None:
        for session in sessions:
            self.ledger.forget(session)
            self._counters.num_evictions += 1

    async def _evict(self, sessions: Iterable[SessionKey]) -> None:
        for session in sessions:
            async with asyncio.timeout(self._evict_s):
                await self._engine.evict(session)
