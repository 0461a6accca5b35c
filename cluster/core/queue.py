"""The order of waiting turns: start-time fair queueing over tenants.

Each turn gets a start tag when it arrives: the later of the queue's virtual time and the end of its
tenant's previous turn, in tokens of work.  The smallest tag is next.  One tenant alone is served in order
of arrival; a tenant with many turns waiting does not delay another's first.  A turn that has to wait
again (refused, lost, preempted) keeps its tag, and with it its place.
"""

from collections.abc import Iterable

from cluster.core.ids import TurnId
from cluster.core.state import Phase, Turn


class FairQueue:
    """Tags and bounds; the turns themselves belong to the state."""

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self._tenant_end: dict[str, float] = {}

    def tag(self, tenant: str, work_tokens: int) -> float:
        """The start tag of a turn that arrives now and is `work_tokens` of work."""
        start = max(self._virtual_time, self._tenant_end.get(tenant, 0.0))
        self._tenant_end[tenant] = start + max(work_tokens, 1)
        return start

    def advance(self, start_tag: float) -> None:
        """A turn with this tag was placed.  Tenants whose work is past are forgotten."""
        self._virtual_time = max(self._virtual_time, start_tag)
        self._tenant_end = {
            tenant: end for tenant, end in self._tenant_end.items() if end > self._virtual_time
        }


def in_order(turns: Iterable[Turn]) -> list[Turn]:
    """Waiting turns, next first."""
    waiting = (turn for turn in turns if turn.phase is Phase.WAITING)
    return sorted(waiting, key=_rank)


def _rank(turn: Turn) -> tuple[float, float, TurnId]:
    return turn.start_tag, turn.arrived_at, turn.turn
