"""Whose KV is kept after a turn, and which of it begins a new prompt: rank 0's books, without tensors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Kept:
    """The KV of an ended sequence.  `can_be_trimmed`: its beginning is of use by itself."""

    number: int
    tenant: str
    session: str
    ids: Ids
    can_be_trimmed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """`num_tokens` of the entry `number` begin the prompt.  `takes`: nobody else will want the entry."""

    number: int
    num_tokens: int
    takes: bool


class Prefixes:
    """Entries from the longest unused to the last used; at most one a session."""

    def __init__(self) -> None:
        self._kept: dict[int, Kept] = {}

    @property
    def num_tokens(self) -> int:
        return sum(kept.ids.size for kept in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, tenant: str, session: str, ids: Ids) -> Found | None:
        """The entry of this tenant that saves most.  The session's own is taken out."""
        best, num_best = None, 0
        for kept in self._kept.values():
            num = _num_common(kept, ids) if kept.tenant == tenant else 0
            if num > num_best or (num == num_best > 0 and kept.session == session):
                best, num_best = kept, num
        if best is None:
            return None
        self._kept.pop(best.number)
        takes = best.session == session
        if not takes:
            self._kept[best.number] = best
        return Found(best.number, num_best, takes)

    def add(self, kept: Kept) -> list[int]:
        """Returns the entries that it replaces."""
        old = self.forget(kept.tenant, kept.session)
        self._kept[kept.number] = kept
        return old

    def forget(self, tenant: str, session: str) -> list[int]:
        """Returns the session's entries, which are known no more."""
        found = [one.number for one in self._kept.values() if (one.tenant, one.session) == (tenant, session)]
        for number in found:
            self._kept.pop(number)
        return found

    def shrink(self, max_tokens: int) -> list[int]:
        """Forgets the longest unused until no more than `max_tokens` are left; returns them."""
        gone: list[int] = []
        while self._kept and self.num_tokens > max_tokens:
            number = next(iter(self._kept))
            self._kept.pop(number)
            gone.append(number)
        return gone


def _num_common(kept: Kept, ids: Ids) -> int:
    """How many tokens of the entry are of use; at least one of the prompt has to be computed."""
    num = min(kept.ids.size, ids.size - 1)
    differs = np.flatnonzero(kept.ids[:num] != ids[:num])
    common = int(differs[0]) if differs.size else num
    return common if kept.can_be_trimmed or common == kept.ids.size else 0
