"""Who may come in: the holder of a ticket for this boot, from the newest router, for the first time."""

from collections import OrderedDict

from cluster.core.ids import BootId, LeaseId
from cluster.front import failures
from cluster.front.counters import FrontCounters
from cluster.ticket import BadTicket, Ticket, verify
from cluster.wire import EmbedRequest, Failed, TurnRequest


class Refused(Exception):
    """Nothing was started; `failed` is the answer."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)
        self.failed = failed


class Gate:
    """`is_open` False: nothing new is taken.  The last `remember` leases that were presented are known."""

    def __init__(self, boot: BootId, secret: bytes, counters: FrontCounters, remember: int) -> None:
        self.is_open = True
        self.epoch = 0
        self._boot, self._secret = boot, secret
        self._counters, self._remember = counters, remember
        self._presented: OrderedDict[LeaseId, None] = OrderedDict()

    def check(self, sealed: str) -> Ticket:
        """Raises Refused for what was not signed for this boot by the newest router."""
        try:
            ticket = verify(self._secret, sealed)
        except (BadTicket, ValueError) as fault:
            raise self._stale(str(fault)) from fault
        if ticket.boot != self._boot:
            raise self._stale("another boot of this replica gave it")
        if ticket.epoch < self.epoch:
            raise self._stale("a newer router has taken over")
        self.epoch = ticket.epoch
        return ticket

    def present(self, ticket: Ticket, request: TurnRequest | EmbedRequest) -> None:
        """Takes a lease in.  Raises Refused where it was in already, or is somebody else's."""
        if not self.is_open:
            self._counters.num_refused_draining += 1
            raise Refused(failures.draining())
        if ticket.reserved_tokens <= 0:
            raise self._stale("it is good for measuring alone")
        if (ticket.turn, ticket.session) != (request.turn, request.session):
            raise self._stale("it was given to another turn")
        if ticket.lease in self._presented:
            raise self._stale("its lease was presented before")
        self._presented[ticket.lease] = None
        if len(self._presented) > self._remember:
            self._presented.popitem(last=False)

    def _stale(self, why: str) -> Refused:
        self._counters.num_stale_tickets += 1
        return Refused(failures.stale_ticket(why))
