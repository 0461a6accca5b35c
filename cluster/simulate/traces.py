"""Readers of public traces."""

import gzip
import json
import math
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from cluster.core.errors import InvalidField
from cluster.simulate.trace import Session, Turn

MOST_THINK_S = 3600.0
"""Longer pauses are cut to this: a person who left for the night tells nothing about the lab."""

REMEDY = "See docs/simulate.md for the format."


@contextmanager
def lines_of(path: Path | None, option: str) -> Generator[TextIO | None]:
    """The lines of a trace, also of a `.gz`, while it is open; None where there is none.

    Raises InvalidField naming `option` where the file is away or torn, however late that shows.
    """
    if path is None:
        yield None
        return
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            yield file
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as fault:
        raise InvalidField(
            option, f"{path} cannot be read: {fault}.", "Name a file of JSON lines, or a .gz of them."
        ) from fault


def read_agent_sessions(lines: Iterable[str], where: str) -> list[Session]:
    """The format of kv-cache-tester's agent sessions, one a line; sub-agents are left out.

    What a turn keeps are whole blocks shared with the prompt before.  Raises InvalidField naming the line.
    """
    sessions = [_session(line, f"{where}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not sessions:
        raise InvalidField(where, "holds no session.", "Name a file of agent sessions, one a line.")
    return sessions


def _session(line: str, where: str) -> Session:
    try:
        body = json.loads(line)
        block_tokens = _size(body, "block_size", where, 1)
        requests = [each for each in body["requests"] if each["type"] != "subagent"]
        return Session(str(body["id"]), _turns(requests, block_tokens, where))
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        problem = f"is no agent session: {type(fault).__name__} {fault}."
        raise InvalidField(where, problem, REMEDY) from fault


def _turns(requests: Sequence[dict[str, Any]], block_tokens: int, where: str) -> list[Turn]:
    turns: list[Turn] = []
    for number, each in enumerate(requests):
        input_tokens = _size(each, "in", where)
        kept_tokens = _size(each, "lcp", where) * block_tokens if number else 0
        turns.append(
            Turn(
                think_s=_think_s(each, where) if number else 0.0,
                input_tokens=input_tokens,
                output_tokens=max(1, _size(each, "out", where)),
                kept_tokens=min(kept_tokens, input_tokens),
            )
        )
    return turns


def _size(body: Mapping[str, Any], name: str, where: str, least: int = 0) -> int:
    size = int(body[name])
    if size < least:
        raise InvalidField(where, f"{name}: {size} is below {least}.", REMEDY)
    return size


def _think_s(body: Mapping[str, Any], where: str) -> float:
    think_s = float(body.get("think_time", 0.0))
    if not 0 <= think_s < math.inf:
        raise InvalidField(where, f"think_time: {think_s} is no time from 0 s on.", REMEDY)
    return min(think_s, MOST_THINK_S)
