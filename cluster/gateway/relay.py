"""What a front answers instead of a stream, as an error of the contract."""

from cluster.core.errors import HearthError, Overloaded
from cluster.wire import Failed

NOT_BOOKED = frozenset({"no_room", "stale_ticket", "draining"})
"""The front did not start the lease: the turn wants another place."""

_TYPES = {503: Overloaded.type}


class Relayed(HearthError):
    """An error in the words of the front or its engine."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.detail = status, code, message
        self.type = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.should_retry = False if status < 500 else None

    def __str__(self) -> str:
        return self.detail


def error_of(failed: Failed) -> HearthError:
    return Relayed(failed.status, failed.code, failed.message)


def is_clients_fault(failed: Failed) -> bool:
    return 400 <= failed.status < 500
