"""Raw events of a run, kept as JSON lines.  The first line says what ran, where, and by which code.

    {"kind": "run", "bench": ..., "code": ..., "machine": {...}, "settings": {...}, "started": ...}
    {"kind": ..., ...}

Figures are computed from these lines alone, so that anybody can compute them again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.harness.code import RESULTS, code_hash
from bench.harness.machine import machine_facts

Row = dict[str, Any]


class ForeignResults(Exception):
    """The results are none, or not of this bench at this code."""


@dataclass(frozen=True, slots=True)
class Run:
    """`head`: the first line.  `rows`: all others, in the order in which they happened."""

    head: Row
    rows: list[Row]

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row["kind"] == kind]


class Recorder:
    """Writes one run.  Use as a context manager."""

    def __init__(self, bench: str, settings: Mapping[str, Any], out: Path | None = None) -> None:
        started = datetime.now(UTC)
        self.path = out or RESULTS / bench / f"{started:%Y-%m-%dT%H%M%S}Z.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w")
        head = {"bench": bench, "code": code_hash(), "machine": machine_facts(), "settings": dict(settings)}
        self.add("run", **head, started=started.isoformat(timespec="seconds"))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can say
        self._file.write(json.dumps({"kind": kind, **fields}, separators=(",", ":")) + "\n")
        self._file.flush()


def read_run(path: Path) -> Run:
    """A run as it was kept.  Raises ForeignResults where the file is none of a run."""
    try:
        head, *rows = (json.loads(line) for line in path.read_text().splitlines())
    except (OSError, ValueError) as fault:
        raise ForeignResults(f"It cannot be read: {fault}. Name a file that `--out` wrote.") from fault
    if not all(isinstance(row, dict) and "kind" in row for row in (head, *rows)):
        raise ForeignResults("It is no run of a bench. Name a file that `--out` wrote.")
    return Run(head, rows)


def check_own(run: Run, bench: str) -> None:
    """Raises ForeignResults where another bench or other code made the run."""
    if run.head.get("bench") != bench:
        raise ForeignResults(f"These are results of {run.head.get('bench')!r}, not of {bench!r}.")
    theirs, ours = str(run.head.get("code")), code_hash()
    if theirs != ours:
        raise ForeignResults(
            f"These results were measured with other code ({theirs[:12]}, this is {ours[:12]}): "
            "run the bench again, or check out the code that made them."
        )
