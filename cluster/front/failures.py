"""Faults as the contract words them."""

import re

from cluster.core.errors import ContextLengthExceeded, HearthError
from cluster.wire import Failed

_OVERFLOW = re.compile(r"context[ _-]?(length|size|window)|maximum context|too many tokens", re.I)


def from_error(error: HearthError, prompt_tokens: int | None = None) -> Failed:
    return Failed(error.status, error.code, error.message, prompt_tokens)


def engine_failed(detail: str) -> Failed:
    return Failed(500, "server_error", f"The engine failed: {detail}")


def no_room(prompt_tokens: int | None) -> Failed:
    return Failed(503, "no_room", "This replica has no room for the turn now.", prompt_tokens)


def stale_ticket(why: str) -> Failed:
    return Failed(503, "stale_ticket", f"The ticket is not good here: {why}.")


def draining() -> Failed:
    return Failed(503, "draining", "This replica takes nothing new.")


def in_contract_words(failed: Failed, window: int, prompt: int, completion: int) -> Failed:
    """An engine's own words for an overflow become the contract's; other failures stay as they are."""
    is_overflow = failed.status == 400 and (_OVERFLOW.search(failed.message) or "context" in failed.code)
    if not is_overflow:
        return failed
    prompt = failed.prompt_tokens or prompt
    return from_error(ContextLengthExceeded(window, prompt, completion), prompt)
