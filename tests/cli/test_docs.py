"""docs/cli.md has every command and every option that there is."""

from pathlib import Path

import pytest
import typer

import cluster.cli
from cluster.cli import app

COMMANDS = typer.main.get_command(app).commands  # ty: ignore[missing-attribute]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_section_and_options(repository: Path, name: str) -> None:
    page = (repository / "docs/cli.md").read_text()
    _, _, section = page.partition(f"\n## hearth {name}\n")
    section = section.partition("\n## ")[0]
    assert section
    written = section + page.partition("\n## ")[0]
    for option in COMMANDS[name].params:
        names = [*option.opts, *option.secondary_opts]
        assert any(part in written for part in names if part.startswith("-")) or not option.opts[
            0
        ].startswith("-")


def test_each_exit_status_is_explained(repository: Path) -> None:
    page = (repository / "docs/cli.md").read_text()
    rows = [line for line in (cluster.cli.__doc__ or "").splitlines() if line.startswith("| ")]
    statuses = [row.split("|")[1].strip() for row in rows]
    assert "130" in statuses
    assert all(f"| {status} |" in page for status in statuses if status.isdigit())
