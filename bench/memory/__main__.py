"""`python -m bench.memory`: estimates published models, keeps the estimates, prints the figures."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder
from bench.memory.engines import engine_rows
from bench.memory.estimates import rows
from bench.memory.figures import figures
from bench.memory.settings import BadData, MemorySettings, known

BENCH = "memory"


def main() -> int:
    parser = bench_parser(
        BENCH, "What the estimator says models take, against what is published.", MemorySettings
    )
    parser.add_argument("--engines", type=_names, help="`llamacpp,mlx`, or `none`; default: both")
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name not in ("", "none"))


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "engines")}
    settings = read_settings(MemorySettings, options.config, flags)
    try:
        models = known(settings.data)
    except BadData as fault:
        sys.exit(str(fault))
    with Recorder(BENCH, {**settings.model_dump(), "is_quick": options.quick}, options.out) as record:
        for row in rows(models):
            record.add(**row)
        for row in engine_rows(settings.engines):
            record.add(**row)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _table(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:<32} {json.dumps(value)}" for name, value in found.items())


if __name__ == "__main__":
    sys.exit(main())
