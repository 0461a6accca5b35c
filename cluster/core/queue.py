"""The order of waiting turns: start-time fair queueing over tenants.

Each turn gets a start tag when it arrives: the later of the queue's virtual time and the end of its
tenant's previous turn, in tokens of work.  The smallest tag is next.  One tenant alone is served in order
of arrival; a tenant with many turns waiting does not delay another's first.  A turn that has to wait
again (refused, lost, preempted) keeps its tag, and with it its place.  Only work that waits or was placed
counts: turns that were cancelled or refused cost their tenant nothing.
"""

from collections.abc import Iterable

from cluster.core.ids import TurnId
from cluster.core.state import Phase, Turn


class FairQueue:
    """Virtual time and what was placed ahead of it; the turns themselves belong to the state."""

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self._placed_until: dict[str, float] = {}

    def join(self, turn: Turn, others: Iterable[Turn], work_tokens: int) -> None:
        """Tags a turn that arrives now, is `work_tokens` of work, and waits among `others`."""
        tenant = turn.arrived.session.tenant
        ends = (other.end_tag for other in others if other.arrived.session.tenant == tenant)
        placed = max(self._virtual_time, self._placed_until.get(tenant, 0.0))
        turn.start_tag = max(placed, max(ends, default=0.0))
        turn.end_tag = turn.start_tag + max(work_tokens, 1)

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


def in_order(turns: Iterable[Turn]) -> list[Turn]:
    """Waiting turns, next first."""
    waiting = (turn for turn in turns if turn.phase is Phase.WAITING)
    return sorted(waiting, key=_rank)


def _rank(turn: Turn) -> tuple[float, float, TurnId]:
    return turn.start_tag, turn.arrived_at, turn.turn
