"""Which idle sessions make room.  Pure and speculative: choosing is not evicting."""

from cluster.core.ids import SessionKey
from cluster.core.ledger import Ledger


def victims(ledger: Ledger, session: SessionKey, tokens: int) -> list[SessionKey] | None:
    """The least recently used idle sessions whose going lets `session` book `tokens`; None: not even all.

    Empty when it fits as it is.  Never the session itself, whose KV is part of what it books.
    """
    own = ledger.resident.get(session)
    own_tokens = own.tokens if own is not None else 0
    missing_tokens = ledger.blocks(tokens) - ledger.free_tokens - own_tokens
    if missing_tokens > ledger.resident_tokens - own_tokens:
        return None
    per_idle = 1 if ledger.capacity.resident_holds_slot else 0
    free_slots = ledger.free_slots + (per_idle if own is not None else 0)
    chosen: list[SessionKey] = []
    others = (idle for idle in ledger.idle() if idle is not own)
    while missing_tokens > 0 or free_slots <= 0:
        following = next(others, None)
        if following is None:
            return None
        chosen.append(following.session)
        missing_tokens -= following.tokens
        free_slots += per_idle
    return chosen


def victims_for_tokens(ledger: Ledger, missing_tokens: int) -> list[SessionKey] | None:
    """The least recently used idle sessions that free `missing_tokens`; None: not even all do."""
    chosen: list[SessionKey] = []
    for resident in ledger.idle():
        if missing_tokens <= 0:
            break
        chosen.append(resident.session)
        missing_tokens -= resident.tokens
    return chosen if missing_tokens <= 0 else None
