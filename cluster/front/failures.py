"""Faults as the contract words them."""

from cluster.core.errors import ContextLengthExceeded, HearthError
from cluster.deployments.overflow import read_overflow
from cluster.wire import Failed


def from_error(error: HearthError, prompt_tokens: int | None = None) -> Failed:
    if isinstance(error, ContextLengthExceeded) and prompt_tokens is None:
        prompt_tokens = error.prompt
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
    """An engine's own words for an overflow become the contract's; other failures stay as they are.

    `window`, `prompt` and `completion` stand in for the numbers that the engine does not tell, in tokens.
    """
    overflow = read_overflow(f"{failed.code} {failed.message}") if failed.status == 400 else None
    if overflow is None:
        return failed
    prompt = failed.prompt_tokens or overflow.prompt or prompt
    error = ContextLengthExceeded(overflow.window or window, prompt, overflow.completion or completion)
    return from_error(error, prompt)
