"""Command-line options that every bench has, and its settings: defaults, then `--config`, then flags."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class BenchSettings(BaseModel):
    """`seeds`: one round of measurements each.  `data`: a file of prompts; None: made from the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...] = (1,)
    data: str | None = None


Settings = TypeVar("Settings", bound=BenchSettings)


def common_parser(bench: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=description)
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    parser.add_argument("--seeds", type=_numbers, help="for example 1,2,3")
    parser.add_argument("--data", help="JSON lines, one `messages` list each, instead of made prompts")
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
    body: dict[str, Any] = (yaml.safe_load(config.read_text()) or {}) if config else {}
    for layer in layers:
        body |= {name: value for name, value in layer.items() if value is not None}
    try:
        return kind.model_validate(body)
    except ValidationError as fault:
        first = fault.errors()[0]
        sys.exit(f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {first.get('input')!r})")
