"""How the commands speak: colours and tables for people, plain lines in pipes, one object of JSON."""

import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from cluster.core.errors import InvalidField

FAILED, REFUSED, NO_POOL, INTERRUPTED = 1, 2, 3, 130

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

STATE_COLOURS = {
    "ready": "green",
    "loading": "yellow",
    "draining": "yellow",
    "unloading": "yellow",
    "unloaded": "dim",
    "failed": "red",
}

CONTROLS = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"},
    0x0D: None,
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""What each control character is shown as."""

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


def command() -> str:
    """How a person calls this command again: `hearth` where their shell finds it, else as a path.

    make puts the environment's folder on the path of its recipes alone, so finding it there proves nothing.
    """
    here = Path(sys.prefix, "bin", "hearth")
    found = shutil.which("hearth")
    is_found = found is not None and Path(found) != here
    if is_found or os.environ.get("VIRTUAL_ENV") == sys.prefix or not here.exists():
        return "hearth"
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def print_json(body: object) -> None:
    """The one object of a command's `--json`."""
    json.dump(body, sys.stdout, indent=2, default=str)
    print()


def printable(text: str) -> str:
    """Words of a model or an engine without what would command the terminal; lines and tabs stay."""
    return text.translate(CONTROLS)


class CommandFailed(Exception):
    """Ends a command with words for people: what is wrong and what to do about it."""

    def __init__(self, problem: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(problem, remedy, status)
        self.problem, self.remedy, self.status = problem, remedy, status


@contextmanager
def speaking(as_json: bool) -> Generator[None]:
    """Turns what goes wrong inside into words and an exit status; never leaves the cursor hidden."""
    try:
        yield
    except CommandFailed as fault:
        _fail(fault, as_json)
    except InvalidField as fault:
        _fail(CommandFailed(f"{fault.field}: {fault.problem}", fault.remedy, REFUSED), as_json)
    except KeyboardInterrupt:
        _fail(CommandFailed("Interrupted.", "", INTERRUPTED), as_json)
    finally:
        out.show_cursor(True)


def _fail(fault: CommandFailed, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"error": {"problem": fault.problem, "remedy": fault.remedy}})
    else:
        err.print(f"[bold red]✗[/] {escape(printable(fault.problem))}")
        if fault.remedy:
            err.print(f"  [dim]→[/] {escape(printable(fault.remedy))}")
    raise typer.Exit(fault.status)


def size_words(num_bytes: float) -> str:
    """Bytes as people read them."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 2**10:.1f} KiB"
