"""Command-line options that every bench has, and its settings: defaults, then `--config`, then flags."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class BenchSettings(BaseModel):
    """`seeds`: one round of measurements each.  `data`: a file of prompts; None: made from the seed.

    `data_help`: what the file has; None: this bench reads none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_help: ClassVar[str | None] = "JSON lines, one `messages` list each, instead of made prompts"

    seeds: tuple[int, ...] = (1,)
    data: str | None = None


Settings = TypeVar("Settings", bound=BenchSettings)


def common_parser(bench: str, description: str, data_help: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=description)
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    parser.add_argument("--seeds", type=_numbers, help="for example 1,2,3")
    if data_help is not None:
        parser.add_argument("--data", help=data_help)
    parser.add_argument("--config", type=Path, help="a YAML file of settings; flags win over it")
    parser.add_argument(
        "--out", type=Path, help="where raw events go; default: bench/results/NAME/TIME.jsonl"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="measure nothing, compute FILE's figures")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def read_settings(kind: type[Settings], config: Path | None, *layers: Mapping[str, Any]) -> Settings:
    """Later layers win; None in a layer means not given.  Ends the program on what is wrong, naming it."""
    body = _read(config) if config else {}
    for layer in layers:
        body |= {name: value for name, value in layer.items() if value is not None}
    try:
        return kind.model_validate(body)
    except ValidationError as fault:
        first = fault.errors()[0]
        sys.exit(f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {first.get('input')!r})")


def _read(config: Path) -> dict[str, Any]:
    try:
        body = yaml.safe_load(config.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        sys.exit(f"--config: {config} cannot be read: {fault}. Name a YAML file of settings.")
    if not isinstance(body, dict | None):
        sys.exit(f"--config: {config} has no fields. Write one setting a line, such as `seeds: [1, 2]`.")
    return body or {}
