"""The router's commands, carried out."""

from cluster import codec
from cluster.core.commands import Drain, Evict, Extend, Move, Preempt, Restore, Spill
from cluster.front.front import Front
from cluster.ticket import BadTicket, unseal


class ControlRefused(Exception):
    """The command was not carried out: `status` of HTTP and words for the log of the router."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.status, self.words = status, words


async def obey(front: Front, sealed: str) -> None:
    """Carries out a sealed command.  A lease or session that is not there any more is no fault.

    Raises ControlRefused.
    """
    command = _open(front, sealed)
    if command.boot != front.identity.boot:
        raise ControlRefused(409, "The command is for another boot of this replica.")
    match command:
        case Extend():
            await front.book.grow(command.lease, command.reserved_tokens)
        case Preempt():
            front.preempt(command.lease)
        case Evict():
            await front.book.evict(command.session)
        case Drain():
            front.begin_drain(command.cause)
        case Spill() | Restore() | Move():
            name = type(command).__name__
            raise ControlRefused(501, f"{name}: this front cannot export or import KV.")


def _open(front: Front, sealed: str) -> Extend | Preempt | Evict | Drain | Spill | Restore | Move:
    try:
        command = codec.decode(unseal(front.secret, sealed))
    except BadTicket as fault:
        raise ControlRefused(403, f"The command is {fault}.") from fault
    except ValueError as fault:
        raise ControlRefused(400, f"The command cannot be read: {fault}.") from fault
    if not isinstance(command, Extend | Preempt | Evict | Drain | Spill | Restore | Move):
        raise ControlRefused(400, f"{type(command).__name__} is not a command for a front.")
    return command
