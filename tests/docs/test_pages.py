"""Pages say what is so: links lead somewhere, examples load, commands and fields exist."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from actors.app import SERVE_CONFIGS, models_in
from cluster.cli import app
from cluster.config import HearthConfig, parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = (match[1] for match in LINK.finditer(page.read_text()))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_config_page_has_an_example_that_loads() -> None:
    text = (ROOT / "docs/config.md").read_text()
    example = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
    config = parse(yaml.safe_load(example), "docs/config.md")
    assert [model.name for model in config.models] == ["qwen3-8b"]


def test_the_config_page_names_every_field() -> None:
    text = (ROOT / "docs/config.md").read_text()
    for name, field in HearthConfig.model_fields.items():
        assert f"## {name}" in text or f"{name}:" in text, name
        inner = getattr(field.annotation, "model_fields", {})
        assert all(f"`{each}`" in text for each in inner), name


@pytest.mark.parametrize("path", sorted(SERVE_CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_serve_config_loads(path: Path) -> None:
    assert models_in(path)


def test_every_command_is_documented_and_has_an_example() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    for name, command in get_command(app).commands.items():  # ty: ignore[missing-attribute]
        assert f"## hearth {name}" in page, name
        assert f"hearth {name}" in command.help + (command.epilog or ""), f"{name} --help has no example"


def test_the_readme_names_commands_that_exist() -> None:
    commands = set(get_command(app).commands)  # ty: ignore[missing-attribute]
    named = set(re.findall(r"\bhearth (up|down|\w+)\b", (ROOT / "README.md").read_text()))
    assert {"up", "down", "chat"} <= named & commands
