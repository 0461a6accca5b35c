"""A command per test, and nothing left of its pool afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.hearth import Hearth, free_ports


@pytest.fixture
def hearth(tmp_path: Path) -> Iterator[Hearth]:
    command = Hearth(tmp_path / "home", *free_ports(2))
    yield command
    if (command.home / "run/config.json").exists():
        command.run("down")
