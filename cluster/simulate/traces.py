"""Readers of public traces."""

import gzip
import json
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from cluster.core.errors import InvalidField
from cluster.simulate.trace import Session, Turn

MOST_THINK_S = 3600.0
"""Longer pauses are cut to this: a person who left for the night tells nothing about the lab."""


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
        raise InvalidField(option, f"{path} cannot be read: {fault}.", "Name a file of sessions.") from fault


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
        block_tokens = int(body["block_size"])
        requests = [each for each in body["requests"] if each["type"] != "subagent"]
        return Session(str(body["id"]), _turns(requests, block_tokens))
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        problem = f"is no agent session: {type(fault).__name__} {fault}."
        raise InvalidField(where, problem, "See docs/simulate.md for the format.") from fault


def _turns(requests: Sequence[dict[str, Any]], block_tokens: int) -> list[Turn]:
    return [
        Turn(
            think_s=min(float(each.get("think_time", 0.0)), MOST_THINK_S) if number else 0.0,
            input_tokens=int(each["in"]),
            output_tokens=max(1, int(each["out"])),
            kept_tokens=min(int(each["lcp"]) * block_tokens, int(each["in"])) if number else 0,
        )
        for number, each in enumerate(requests)
    ]
