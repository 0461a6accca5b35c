"""`python -m bench.swap`: measures, keeps the raw events, prints the figures."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.pool import fresh_pool
from bench.harness.record import Recorder
from bench.swap import story, stream
from bench.swap.figures import figures
from bench.swap.home import config_of
from bench.swap.settings import POLICIES, QUICK, SwapSettings

BENCH = "swap"
NUMBERS = ("models", "fitting", "turns", "output_tokens", "repeats")
SETTLE_S = 0.6
"""The router writes its journal down four times a second."""


def main() -> int:
    parser = bench_parser(
        BENCH,
        "More models than memory: batched by model against first come, first served.",
        SwapSettings,
        NUMBERS,
    )
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", *NUMBERS)}
    settings = read_settings(SwapSettings, options.config, QUICK if options.quick else {}, flags)
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record, tempfile.TemporaryDirectory() as folder:
        num = 0
        for seed in settings.seeds:
            for repeat in range(settings.repeats):
                for policy in POLICIES if num % 2 else reversed(POLICIES):
                    _one(settings, policy, seed, repeat, Path(folder), record)
                num += 1
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _table(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:<16} {json.dumps(value)}" for name, value in found.items())


def _one(settings: SwapSettings, policy: str, seed: int, repeat: int, folder: Path, record: Recorder) -> None:
    where: dict[str, Any] = {"policy": policy, "seed": seed, "repeat": repeat}
    with fresh_pool(config_of(settings, policy, folder)) as pool:
        pool.up()
        began = time.monotonic()
        told = asyncio.run(stream.play(settings, pool.http, stream.arrivals(settings, seed + repeat)))
        ended = time.monotonic()
        time.sleep(SETTLE_S)
        for row in told:
            record.add("turn", **where, **row)
        for row in story.rows(pool.home, began, ended):
            record.add("story", **where, **row)
        record.add("end", **where, seconds=ended - began)


if __name__ == "__main__":
    sys.exit(main())
