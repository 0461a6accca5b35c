"""`hearth models`."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.cli.progress import bar_words
from cluster.cli.terminal import (
    REFUSED,
    STATE_COLOURS,
    AsJson,
    CommandFailed,
    err,
    out,
    print_json,
    printable,
    size_words,
    speaking,
)

if TYPE_CHECKING:
    from cluster.pool.state import PoolState

WATCH_S = 1.0
Cell = Callable[[dict[str, Any]], str]


def models(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing them; Ctrl-C ends it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each model: whether it is loaded, on what, and how far a start has come.

    Example: `hearth models --watch`
    """
    with speaking(as_json):
        from cluster.cli.client import get_json, require_pool
        from cluster.pool.paths import pool_paths

        state = require_pool(pool_paths())
        if watch:
            _watch(state, as_json)
            return
        view = get_json(state, "/api/view")
        if as_json:
            print_json({"models": view["models"]})
        else:
            out.print(page(view))


def _watch(state: "PoolState", as_json: bool) -> None:
    from cluster.cli.client import get_json

    if as_json or not out.is_terminal:
        raise CommandFailed("--watch draws on a terminal.", "Leave it out, or call again.", REFUSED)
    try:
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(page(get_json(state, "/api/view")), refresh=True)
                time.sleep(WATCH_S)
    except KeyboardInterrupt:
        err.print()


COLUMNS: dict[str, Cell] = {
    "model": lambda one: f"[bold]{escape(one['model'])}[/]",
    "state": lambda one: f"[{STATE_COLOURS.get(one['state'], 'white')}]{one['state']}[/]",
    "engine": lambda one: " ".join(filter(None, (one["engine"], one["quantisation"], _ranks(one)))),
    "context": lambda one: f"{one['window_tokens']:,}" if one["window_tokens"] else "",
    "on": lambda one: escape(", ".join(one["nodes"])),
    "memory": lambda one: size_words(one["memory_bytes"]) if one["memory_bytes"] else "",
    "turns": lambda one: _turns(one),
    "": lambda one: _notes(one),
}


def page(view: dict[str, Any]) -> Group:
    """The table, and below it how far starts have come, why models have failed, and who has few slots."""
    if not view["models"]:
        return Group("The pool has no models.")
    few = ((model, _few_slots(model)) for model in view["models"])
    slots = (f"[dim]·[/] {escape(model['model'])}: {words}" for model, words in few if words)
    return Group(_table(view["models"]), *filter(None, map(_below, view["models"])), *slots)


def _table(models: list[dict[str, Any]]) -> Table:
    """Without the columns that would be empty; no word is broken."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = {head: [Text.from_markup(cell(model)) for model in models] for head, cell in COLUMNS.items()}
    used = {head: cells for head, cells in columns.items() if any(cells)}
    for head, cells in used.items():
        longest = max((len(word) for cell in cells for word in cell.plain.split()), default=0)
        table.add_column(head, min_width=longest)
    for row in zip(*used.values(), strict=True):
        table.add_row(*row)
    return table


def _below(model: dict[str, Any]) -> str:
    name, state = escape(model["model"]), model["state"]
    if state == "loading" and model["stage"]:
        return f"[yellow]…[/] {name}: {escape(printable(model['stage']))} {bar_words(model['fraction'])}"
    if not model["reason"]:
        return ""
    mark = "[red]✗[/]" if state == "failed" else "[dim]·[/]"
    return f"{mark} {name}: {escape(printable(model['reason']))}"


def _notes(model: dict[str, Any]) -> str:
    warm = ["[dim]kept warm[/]"] if model["keep_warm"] else []
    hosted = ["[magenta]hosted[/]"] if model["locality"] == "hosted" else []
    return ", ".join([*warm, *(f"[yellow]{flag}[/]" for flag in model["flags"]), *hosted])


def _ranks(model: dict[str, Any]) -> str:
    parts = (("TP", model["tensor_parallel"]), ("PP", model["pipeline_parallel"]))
    return " ".join(f"{name}{number}" for name, number in parts if number > 1)


def _few_slots(model: dict[str, Any]) -> str:
    """Where there are fewer than the engine's usual ones, or they keep less."""
    from cluster.core.layout import EngineKind
    from cluster.core.slots import usual_slots

    num, kept, engine = model["num_slots"], model["num_checkpoints"], model["engine"]
    if kept is None or not num or engine not in set(EngineKind):
        return ""
    usual = usual_slots(EngineKind(engine))
    slots = f"{num} slot{'s' * (num != 1)} (usually {usual.num_slots})" if num < usual.num_slots else ""
    few = f"{kept} checkpoint{'s' * (kept != 1)} a slot (usually {usual.num_checkpoints})"
    return ", ".join(filter(None, (slots, few if kept < usual.num_checkpoints else "")))


def _turns(model: dict[str, Any]) -> str:
    counts = (("running", model["num_running"]), ("waiting", model["num_waiting"]))
    return ", ".join(f"{number} {word}" for word, number in counts if number)
