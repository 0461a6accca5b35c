"""The order of waiting turns: start-time fair queueing over tenants.

Each turn gets a start tag when it arrives: the later of the queue's virtual time and the end of its
tenant's previous turn, in tokens of work.  The smallest tag is next.  One tenant alone is served in order
of arrival; a tenant with many turns waiting does not delay another's first.  A turn that has to wait
again (refused, lost, preempted) keeps its tag, and with it its place.  Only work that waits or was placed
counts: turns that were cancelled or refused cost their tenant nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from cluster.core.ids import TurnId
from cluster.core.state import Turn


class FairQueue:
    """The waiting turns in order, the next first; virtual time and what was placed ahead of it."""

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self._placed_until: dict[str, float] = {}
        self._waiting: list[tuple[float, float, TurnId, Turn]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Turn]:
        """In order, whoever comes or goes meanwhile."""
        return iter([turn for _, _, _, turn in self._waiting])

    def of(self, model: str) -> list[Turn]:
        """Those that wait for this model, in order."""
        return [turn for _, _, _, turn in self._waiting if turn.arrived.model == model]

    def enter(self, turn: Turn) -> None:
        """It waits from now on, at the place its tag gives it."""
        insort(self._waiting, _rank(turn))

    def leave(self, turn: Turn) -> None:
        """It waits no more; nothing happens if it did not."""
        at = bisect_left(self._waiting, _rank(turn))
        if at < len(self._waiting) and self._waiting[at][3] is turn:
            del self._waiting[at]

    def join(self, turn: Turn, work_tokens: int) -> None:
        """Tags a waiting turn that has just arrived and is `work_tokens` of work."""
        self.leave(turn)
        tenant = turn.arrived.session.tenant
        ends = (other.end_tag for other in self if other.arrived.session.tenant == tenant)
        placed = max(self._virtual_time, self._placed_until.get(tenant, 0.0))
        turn.start_tag = max(placed, max(ends, default=0.0))
        turn.end_tag = turn.start_tag + max(work_tokens, 1)
        self.enter(turn)

    def advance(self, turn: Turn) -> None:
        """The turn was placed.  Tenants whose work is past are forgotten."""
        tenant = turn.arrived.session.tenant
        self._virtual_time = max(self._virtual_time, turn.start_tag)
        self._placed_until[tenant] = max(self._placed_until.get(tenant, 0.0), turn.end_tag)
        self._placed_until = {
            tenant: end for tenant, end in self._placed_until.items() if end > self._virtual_time
        }

    def rest(self) -> None:
        """Nobody waits: what was placed until now delays nobody later."""
        self._virtual_time = max(self._placed_until.values(), default=self._virtual_time)
        self._placed_until.clear()


def _rank(turn: Turn) -> tuple[float, float, TurnId, Turn]:
    """Unique up to the third: turns are never compared."""
    return turn.start_tag, turn.arrived_at, turn.turn, turn
