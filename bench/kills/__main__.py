"""`python -m bench.kills`: kills gangs, keeps the raw events, prints the figures."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.engines import ENGINES, model_of
from bench.harness.options import read_settings
from bench.harness.pool import fresh_pool
from bench.harness.record import Recorder
from bench.kills.figures import figures
from bench.kills.measure import measure
from bench.kills.settings import QUICK, KillSettings

BENCH = "kills"


def main() -> int:
    parser = bench_parser(
        BENCH,
        "Any one process of a gang is killed while turns run.",
        KillSettings,
    )
    parser.add_argument("--times", type=_times, help="for example llamacpp=20,mlx-tp2=20,vllm-tp2=5")
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _times(text: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (part.partition("=") for part in text.split(","))}


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "times")}
    settings = read_settings(KillSettings, options.config, QUICK if options.quick else {}, flags)
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record, tempfile.TemporaryDirectory() as folder:
        for name, times in settings.times.items():
            with fresh_pool({"models": [model_of(ENGINES[name], Path(folder))], "guide": False}) as pool:
                record.add("start", model=name, seconds=pool.up())
                asyncio.run(measure(settings, pool, name, times, record))
                print(f"{name}: {times} kills", file=sys.stderr)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _table(found: dict[str, Any]) -> str:
    return "\n".join(json.dumps(engine) for engine in found["engines"])


if __name__ == "__main__":
    sys.exit(main())
