"""What a person reads can be typed."""

import sys
from pathlib import Path

import pytest

from cluster.cli.terminal import command


def test_a_clones_own_command_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / ".venv" / "bin" / "hearth"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", str(binary.parent))
    assert command() == ".venv/bin/hearth", "make alone has it on its path"
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / ".venv"))
    assert command() == "hearth"


def test_a_command_that_the_shell_finds_is_named_shortly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("home/bin", "local"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "hearth").touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "home"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "local"))
    assert command() == "hearth"
