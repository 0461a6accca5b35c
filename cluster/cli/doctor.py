"""`hearth doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cluster.cli.terminal import FAILED, AsJson, out, print_json, speaking

if TYPE_CHECKING:
    from cluster.doctor.check import Check

MARKS = {"ok": "[green]✓ ok[/]", "warn": "[yellow]! warn[/]", "fail": "[red]✗ fail[/]"}


def doctor(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A config file to check.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine and the pool on it; each finding says what to do.

    Example: `hearth doctor`
    """
    with speaking(as_json):
        checks = _examine(config)
        if as_json:
            fields = ("name", "verdict", "detail", "remedy")
            print_json({"checks": [{field: getattr(c, field) for field in fields} for c in checks]})
        else:
            out.print(_table(checks))
        if any(check.verdict == "fail" for check in checks):
            raise typer.Exit(FAILED)


def _examine(config_file: Path | None) -> list["Check"]:
    from cluster.cli.client import get_json
    from cluster.cli.plan import read_config
    from cluster.doctor.examine import examine
    from cluster.pool.launch import running_pool
    from cluster.pool.paths import pool_paths

    paths = pool_paths()
    state = running_pool(paths)
    config = read_config(config_file, paths.home)
    return list(examine(paths, config, state, lambda path: state and get_json(state, path)))


def _table(checks: list["Check"]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        remedy = f"\n[dim]→[/] {escape(check.remedy)}" if check.remedy else ""
        table.add_row(MARKS[check.verdict], f"[bold]{escape(check.name)}[/]", escape(check.detail) + remedy)
    return table
