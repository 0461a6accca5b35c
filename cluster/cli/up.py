"""`hearth up`."""

import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cluster.cli.terminal import REFUSED, AsJson, CommandFailed, command, err, out, print_json, speaking

if TYPE_CHECKING:
    from cluster.cli.plan import Wishes
    from cluster.cli.starting import Started

ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="A GGUF, a folder of one, or owner/repo of the hub. Repeatable."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="A config file.", show_default="HEARTH_HOME/hearth.yaml")
]


def up(
    model: ModelOption = None,
    config: ConfigOption = None,
    port: Annotated[int | None, typer.Option(help="HTTP port.", show_default="8420")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="gRPC port.", show_default="8421")] = None,
    discover: Annotated[bool, typer.Option(help="Add engines that run here already.")] = True,
    foreground: Annotated[bool, typer.Option(help="Stay; Ctrl-C ends the pool.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the pool on this machine, and say how to talk to it.

    Example: `hearth up --model ~/models/qwen3-8b-q4_k_m.gguf`
    """
    with speaking(as_json):
        from cluster.cli.plan import Wishes
        from cluster.cli.starting import start_or_find

        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGHUP, _interrupt)
        wishes = Wishes(tuple(model or ()), config, port, grpc_port, discover, _may_ask(yes, as_json))
        started = start_or_find(wishes, quiet=as_json)
        _tell(started, wishes, as_json)
        if foreground:
            _stay(started, as_json)


def _may_ask(yes: bool, as_json: bool) -> bool:
    return not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(started: "Started", wishes: "Wishes", as_json: bool) -> None:
    from cluster.cli.welcome import describe, welcome

    if as_json:
        print_json(describe(started))
        return
    welcome(started)
    ignored = _ignored(started, wishes)
    if started.was_running and ignored:
        raise CommandFailed(
            f"The pool runs already, {ignored}.",
            f"End it first, then start it anew: {command()} down && {command()} up {_again(wishes)}",
            REFUSED,
        )


def _ignored(started: "Started", wishes: "Wishes") -> str:
    """What was asked for and the pool that runs does not have."""
    state = started.state
    ports = (("HTTP", wishes.http_port, state.http_port), ("gRPC", wishes.grpc_port, state.grpc_port))
    others = [
        f"with {name} on port {has}, not on {asked}" for name, asked, has in ports if asked not in (None, has)
    ]
    if wishes.models:
        others.append(f"without {', '.join(wishes.models)} added")
    return " and ".join(others)


def _again(wishes: "Wishes") -> str:
    """The options to say once more."""
    options = [("--model", model) for model in wishes.models]
    options += [("--port", str(wishes.http_port))] if wishes.http_port is not None else []
    options += [("--grpc-port", str(wishes.grpc_port))] if wishes.grpc_port is not None else []
    return shlex.join(word for option in options for word in option)


def _stay(started: "Started", as_json: bool) -> None:
    from cluster.cli.starting import stop_quietly, wait_for_end

    try:
        if not as_json:
            out.print("\n[dim]The pool runs in the foreground. Ctrl-C ends it.[/]")
        problem = wait_for_end(started.paths)
    except KeyboardInterrupt:
        err.print("\nStopping the pool")
        stop_quietly(started.paths)
        return
    if problem:
        raise CommandFailed(f"The pool has ended: {escape(problem)}", "See: hearth logs supervisor")
