"""Which idle sessions make room.  Pure and speculative: choosing is not evicting."""

from cluster.core.ids import SessionKey
from cluster.core.ledger import Ledger


def victims(ledger: Ledger, session: SessionKey, tokens: int) -> list[SessionKey] | None:
    """The least recently used idle sessions whose going lets `session` book `tokens`; None: not even all.

    Empty when it fits as it is.  Never the session itself, whose KV is part of what it books.
    """
    chosen: list[SessionKey] = []
    idle = sorted(ledger.resident.values(), key=lambda resident: (resident.last_used, resident.session))
    others = (resident.session for resident in idle if resident.session != session)
    while not ledger.fits(session, tokens, chosen):
        following = next(others, None)
        if following is None:
            return None
        chosen.append(following)
    return chosen


def victims_for_tokens(ledger: Ledger, missing_tokens: int) -> list[SessionKey] | None:
    """The least recently used idle sessions that free `missing_tokens`; None: not even all do."""
    chosen: list[SessionKey] = []
    for resident in sorted(ledger.resident.values(), key=lambda each: (each.last_used, each.session)):
        if missing_tokens <= 0:
            break
        chosen.append(resident.session)
        missing_tokens -= resident.tokens
    return chosen if missing_tokens <= 0 else None
