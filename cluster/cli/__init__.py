"""The command `hearth`.  What a command needs beyond the terminal is imported when it runs: help is quick.

| exit status | meaning |
|-------------|---------|
| 0   | done |
| 1   | it was tried and failed |
| 2   | nothing was done: what was asked or what is there does not allow it |
| 3   | no pool runs here |
| 130 | interrupted |
"""

from importlib.metadata import version
from typing import Annotated

import typer

from cluster.cli.chat import chat
from cluster.cli.doctor import doctor
from cluster.cli.down import down
from cluster.cli.forecasting import plan
from cluster.cli.loading import load, unload
from cluster.cli.logs import logs
from cluster.cli.models import models
from cluster.cli.prefixes import prefixes
from cluster.cli.simulate import simulate
from cluster.cli.status import status
from cluster.cli.up import up

app = typer.Typer(
    name="hearth",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (up, down, status, models, load, unload, chat, logs, doctor, plan, simulate, prefixes):
    app.command()(command)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"hearth {version('hearth')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """One private AI from the machines of a home.

    Example: `hearth up`, then `hearth chat "How do I add a model?"`
    """
