"""Tickets: the router's grants, in a form that only the replica's own front can check.

The front makes a secret at each boot and tells the router alone (over Ray, which is authenticated).
The router signs every grant and every control command with it; a gateway carries the ticket unread.
So a front needs no router to know what it may book, and nobody else can book anything.

    ticket = base64url(msgpack body) "." base64url(HMAC-SHA256(secret, body))
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import astuple, dataclass

import msgpack

from cluster.core.ids import BootId, LeaseId, SessionKey, TurnId


@dataclass(frozen=True, slots=True)
class Ticket:
    """A grant: this turn may book `reserved_tokens` at the replica of this boot, under this epoch."""

    lease: LeaseId
    turn: TurnId
    session: SessionKey
    reserved_tokens: int
    boot: BootId
    epoch: int


class BadTicket(ValueError):
    """Not signed by this boot's secret, or not a ticket."""


def seal(secret: bytes, body: bytes) -> str:
    mac = hmac.new(secret, body, hashlib.sha256).digest()
    return f"{base64.urlsafe_b64encode(body).decode()}.{base64.urlsafe_b64encode(mac).decode()}"


def unseal(secret: bytes, sealed: str) -> bytes:
    """The body of what `seal` made.  Raises BadTicket."""
    try:
        body, mac = (base64.urlsafe_b64decode(part) for part in sealed.split("."))
    except (ValueError, binascii.Error) as fault:
        raise BadTicket("not a ticket") from fault
    if not hmac.compare_digest(mac, hmac.new(secret, body, hashlib.sha256).digest()):
        raise BadTicket("signed by somebody else, or for another boot of this replica")
    return body


def sign(secret: bytes, ticket: Ticket) -> str:
    return seal(secret, msgpack.packb(astuple(ticket)))


def verify(secret: bytes, sealed: str) -> Ticket:
    """Raises BadTicket."""
    body = unseal(secret, sealed)
    try:
        lease, turn, session, reserved_tokens, boot, epoch = msgpack.unpackb(body)
        return Ticket(lease, turn, SessionKey(*session), reserved_tokens, boot, epoch)
    except (ValueError, TypeError) as fault:
        raise BadTicket("not a ticket, but something else that was signed") from fault
