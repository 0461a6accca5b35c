"""`hearth logs`."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.terminal import REFUSED, AsJson, CommandFailed, out, print_json, size_words, speaking

TAIL_LINES = 200
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Log:
    name: str
    path: Path
    size_bytes: int


def logs(
    name: Annotated[str, typer.Argument(help="A log, or the part of a name. None: list them.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the processes of the pool have written.

    Example: `hearth logs supervisor --follow`
    """
    with speaking(as_json):
        known = find_logs()
        if not name and not follow:
            _list(known, as_json)
        else:
            _show(_choose(known, name or "supervisor"), follow, as_json)


def find_logs() -> list[Log]:
    """Ours, and Ray's of the pool that runs or else of the last one.  Empty ones say nothing."""
    from cluster.pool.paths import pool_paths

    paths = pool_paths()
    ray = paths.ray_logs if paths.ray_logs.is_dir() else paths.kept_ray_logs
    ours = [Log(path.stem, path, 0) for path in sorted(paths.logs.glob("*.log"))]
    rays = [Log(f"ray/{path.relative_to(ray)}", path, 0) for path in sorted(ray.rglob("*")) if path.is_file()]
    sized = (Log(log.name, log.path, log.path.stat().st_size) for log in [*ours, *rays])
    return [log for log in sized if log.size_bytes]


def _list(known: list[Log], as_json: bool) -> None:
    if as_json:
        print_json({"logs": [{"name": g.name, "path": g.path, "size_bytes": g.size_bytes} for g in known]})
        return
    if not known:
        out.print("Nothing has been written yet. Start a pool: hearth up")
    for log in known:
        out.print(f"[cyan]{log.name}[/]  [dim]{size_words(log.size_bytes)}[/]")


def _choose(known: list[Log], name: str) -> Log:
    exact = [log for log in known if log.name == name]
    found = exact or [log for log in known if name in log.name]
    if not found:
        raise CommandFailed(f"No log has `{name}` in its name.", "List them: hearth logs", REFUSED)
    return max(found, key=lambda log: log.path.stat().st_mtime)


def _show(log: Log, follow: bool, as_json: bool) -> None:
    with log.path.open(errors="replace") as file:
        tail = deque((line.rstrip("\n") for line in file), maxlen=TAIL_LINES)
        if as_json:
            print_json({"name": log.name, "path": log.path, "lines": list(tail)})
            return
        for line in tail:
            print(line)
        if follow:
            for line in _grow(file):
                print(line, end="", flush=True)


def _grow(file: Iterator[str]) -> Iterator[str]:
    while True:
        yield from file
        time.sleep(POLL_S)
