"""`hearth load` and `hearth unload`."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from cluster.cli.progress import Progress, bar_words
from cluster.cli.terminal import (
    FAILED,
    INTERRUPTED,
    REFUSED,
    AsJson,
    CommandFailed,
    command,
    err,
    out,
    print_json,
    printable,
    size_words,
    speaking,
)

if TYPE_CHECKING:
    from cluster.pool.state import PoolState

POLL_S = 0.25
AWAY_S = 30.0
"""A router that is replaced answers again long before."""

Name = Annotated[str, typer.Argument(help="As `hearth models` names it.", show_default=False)]


def load(
    name: Name,
    wait: Annotated[bool, typer.Option(help="Wait until it is ready.")] = True,
    as_json: AsJson = False,
) -> None:
    """Load a model now; idle ones are unloaded for it where memory is short.

    Example: `hearth load qwen3-8b`
    """
    with speaking(as_json):
        state = _pool()
        began = time.monotonic()
        model = _ask(state, name, "load")["model"]
        if wait:
            model = _follow(state, model, as_json)
        seconds = time.monotonic() - began
        if as_json:
            print_json({"model": model, "seconds": round(seconds, 2)})
        else:
            out.print(_outcome(model, seconds))


def unload(name: Name, as_json: AsJson = False) -> None:
    """Give a model's memory back; its turns in flight end first, and its next turn loads it again.

    Example: `hearth unload qwen3-8b`
    """
    with speaking(as_json):
        answer = _ask(_pool(), name, "unload")
        if as_json:
            print_json(answer)
            return
        out.print(f"[green]✓[/] {escape(name)} is {answer['model']['state']}.")
        if answer["note"]:
            err.print(f"  [dim]{escape(answer['note'])}[/]")


def _pool() -> "PoolState":
    from cluster.cli.client import require_pool
    from cluster.pool.paths import pool_paths

    return require_pool(pool_paths())


def _ask(state: "PoolState", name: str, verb: str) -> dict[str, Any]:
    from urllib.parse import quote

    from cluster.cli.client import get_json, post_json

    names = [model["model"] for model in get_json(state, "/api/view")["models"]]
    if name not in names:
        raise CommandFailed(f"There is no model {name} in this pool.", _meant(name, names), REFUSED)
    return post_json(state, f"/api/models/{quote(name)}/{verb}")


def _meant(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), names, 1, 0.5)
    if close:
        return f"Did you mean {close[0]}? All of them: {command()} models"
    return f"Its models: {', '.join(names) or 'none'}. Others are added in hearth.yaml."


def _follow(state: "PoolState", model: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """The model once it is ready.  Raises CommandFailed where it will not be, or nobody waits any more."""
    try:
        with Progress(quiet) as progress:
            while model["state"] != "ready":
                _check(model)
                _show(model, progress)
                time.sleep(POLL_S)
                model = _look(state, model)
    except KeyboardInterrupt as stop:
        raise CommandFailed(
            f"{model['model']} goes on loading.",
            f"Follow it: {command()} models --watch. End it: {command()} unload {model['model']}",
            INTERRUPTED,
        ) from stop
    return model


def _look(state: "PoolState", model: dict[str, Any]) -> dict[str, Any]:
    """The model now.  A router that is away for a moment is waited for."""
    from cluster.cli.client import get_json

    until = time.monotonic() + AWAY_S
    while True:
        try:
            found = [one for one in get_json(state, "/api/view")["models"] if one["model"] == model["model"]]
        except CommandFailed:
            found = []
        if found:
            return found[0]
        if time.monotonic() > until:
            raise CommandFailed("The pool does not answer any more.", "See: hearth status", FAILED)
        time.sleep(POLL_S)


def _check(model: dict[str, Any]) -> None:
    """Raises CommandFailed where it will not be loaded."""
    name, reason = model["model"], printable(model["reason"])
    if not model["fits"]:  # its reason has the remedy
        raise CommandFailed(f"{name} was not loaded: {reason}", "", FAILED)
    if model["state"] == "failed":
        raise CommandFailed(f"{name} was not loaded: {reason}", "See: hearth logs replica", FAILED)
    if model["state"] in ("unloaded", "unloading") and not model["wanted"]:
        raise CommandFailed(f"{name} was not loaded: somebody has unloaded it again.", "", FAILED)


def _show(model: dict[str, Any], progress: Progress) -> None:
    progress.stage(f"loading {model['model']}")
    if model["stage"]:
        progress.step(printable(model["stage"]), bar_words(model["fraction"]))
    elif model["state"] != "loading":
        progress.step("waiting for memory")


def _outcome(model: dict[str, Any], seconds: float) -> str:
    name, state = escape(model["model"]), model["state"]
    if state != "ready":
        return f"{name} is {state}. Follow it: {command()} models --watch"
    took = f" after {seconds:.1f} s" if seconds >= POLL_S else ""
    memory = size_words(model["memory_bytes"]) if model["memory_bytes"] else ""
    window = f"{model['window_tokens']:,} tokens"
    nodes = f"on {', '.join(model['nodes'])}" if model["nodes"] else ""
    facts = filter(None, (model["engine"], model["quantisation"], window, memory, nodes))
    return f"[green]✓[/] {name} is ready{took}: {escape(', '.join(facts))}"
