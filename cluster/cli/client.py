"""The gateway of the pool on this machine, asked by the commands."""

import json
from collections.abc import Generator, Iterator
from typing import Any

from cluster.cli.terminal import FAILED, NO_POOL, REFUSED, CommandFailed
from cluster.pool.launch import running_pool
from cluster.pool.paths import PoolPaths
from cluster.pool.state import PoolState, Stage, read_state

TIMEOUT_S = 5.0
TURN_TIMEOUT_S = 600.0
"""Between two chunks of an answer: the gateway keeps waiting turns alive far more often."""


def require_pool(paths: PoolPaths) -> PoolState:
    """The pool that runs from this home.  Raises CommandFailed where none does."""
    state = running_pool(paths)
    if state is not None and state.stage is Stage.RUNNING:
        return state
    last = read_state(paths.state)
    if last is not None and last.problem:
        raise CommandFailed(f"The pool has ended: {last.problem}", "Start it again: hearth up", NO_POOL)
    if state is not None:
        raise CommandFailed(f"The pool is {state.stage}.", "Try again in a moment.", NO_POOL)
    raise CommandFailed(f"No pool runs from {paths.home}.", "Start one: hearth up", NO_POOL)


def get_json(state: PoolState, path: str, timeout_s: float = TIMEOUT_S) -> Any:  # noqa: ANN401
    """GETs JSON from the gateway.  Raises CommandFailed where it does not answer."""
    import httpx

    try:
        answer = httpx.get(f"{state.http_url}{path}", timeout=timeout_s, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, ValueError) as fault:
        problem = f"The gateway at {state.http_url} does not answer {path}: {fault}."
        raise CommandFailed(problem, "See: hearth logs supervisor", FAILED) from fault


def post_json(state: PoolState, path: str) -> Any:  # noqa: ANN401
    """POSTs nothing but the path.  Raises CommandFailed with the gateway's own words where it refuses."""
    import httpx

    try:
        answer = httpx.post(f"{state.http_url}{path}", timeout=TIMEOUT_S, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as fault:
        problem = f"The gateway at {state.http_url} does not answer {path}: {fault}."
        raise CommandFailed(problem, "See: hearth logs supervisor", FAILED) from fault
    if answer.is_error:
        refusal = _refusal(body)
        raise CommandFailed(refusal.problem, "", REFUSED if answer.is_client_error else FAILED)
    return body


def stream_chat(state: PoolState, body: dict[str, Any]) -> Generator[dict[str, Any]]:
    """Streams a chat completion: first `{"headers": ...}`, then its chunks.  Raises CommandFailed."""
    import httpx

    url = f"{state.http_url}/v1/chat/completions"
    timeout = httpx.Timeout(TIMEOUT_S, read=TURN_TIMEOUT_S)
    try:
        with httpx.stream("POST", url, json=body, timeout=timeout, trust_env=False) as answer:
            if answer.status_code != 200:
                raise _refusal(json.loads(answer.read()))
            yield {"headers": dict(answer.headers)}
            yield from _chunks(answer.iter_lines())
    except (httpx.HTTPError, ValueError) as fault:
        problem = f"The answer broke off: {fault or type(fault).__name__}."
        raise CommandFailed(problem, "See: hearth status", FAILED) from fault


def _chunks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise _refusal(chunk)
        yield chunk


def _refusal(body: dict[str, Any]) -> CommandFailed:
    error = body.get("error") or {}
    return CommandFailed(str(error.get("message", "The pool refused.")), "", FAILED)
