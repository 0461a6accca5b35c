"""The names cluster, actors and protos are so plain that another package might own them too."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

NAMES = ("cluster", "actors", "protos")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_in_the_environment_owns_the_name(name: str) -> None:
    assert set(metadata.packages_distributions().get(name, ["hearth"])) == {"hearth"}


@pytest.mark.parametrize("name", NAMES)
def test_the_installed_package_is_ours_from_any_folder(name: str, tmp_path: Path, repository: Path) -> None:
    (tmp_path / f"{name}.py").write_text("raise ImportError('the working folder shadows the package')")
    asked = f"import {name}; print({name}.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", asked], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == repository / name / "__init__.py"


def test_the_command_is_installed() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="hearth")
    assert command.value == "cluster.cli:app"
