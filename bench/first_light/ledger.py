"""What the router's journal says of a burst: who arrived, started and ended when, and with how much."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster import journal
from cluster.core.events import Event, LeaseEnded, LeaseStarted, ReplicaReady, ReplicaReport, TurnArrived


class Ledger:
    """Reads the journal of a running pool.  Times are of the machine's monotonic clock."""

    def __init__(self, home: Path, model: str) -> None:
        self._folder, self._model = home / "journal", model
        ready = (event for _, event in self._events() if isinstance(event, ReplicaReady))
        self._ready = next(event for event in ready if event.model == model)

    def front(self) -> tuple[str, int]:
        """Where the front of the model's replica listens."""
        endpoint = urlsplit(self._ready.endpoint)
        assert endpoint.hostname is not None
        assert endpoint.port is not None
        return endpoint.hostname, endpoint.port

    def rows(self, since_s: float, until_s: float) -> Iterator[dict[str, Any]]:
        """`arrived`, `started`, `ended`, and `reported` where a lease has another size by now."""
        for now, event in self._events():
            if since_s <= now <= until_s + 1.0:
                for row in self._told(event):
                    yield {"at_s": now, **row}

    def _events(self) -> Iterator[tuple[float, Event]]:
        return journal.read(max(self._folder.glob("router-*.journal")))

    def _told(self, event: Event) -> Iterator[dict[str, Any]]:
        replica = self._ready.replica
        match event:
            case TurnArrived(model=self._model):
                yield {"what": "arrived", "turn": event.turn}
            case LeaseStarted() if event.replica == replica:
                # The front gives the turn as the cause of what it says of its lease.
                yield {
                    "what": "started",
                    "turn": event.cause,
                    "lease": event.lease,
                    "reserved_tokens": event.reserved_tokens,
                }
            case LeaseEnded() if event.replica == replica:
                yield {"what": "ended", "lease": event.lease}
            case ReplicaReport() if event.replica == replica:
                for lease in event.leases:
                    yield {
                        "what": "reported",
                        "lease": lease.lease,
                        "reserved_tokens": lease.reserved_tokens,
                    }
