"""`python -m bench.first_light`: measures, keeps the raw events, prints the figures."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.first_light import burst, ttfb
from bench.first_light.engine import settings_of
from bench.first_light.figures import figures
from bench.first_light.ledger import Ledger
from bench.first_light.settings import MODEL, QUICK, FirstLightSettings
from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.pool import Pool, fresh_pool, memory
from bench.harness.record import Recorder
from cluster.config import GUIDE
from cluster.models import tiny

BENCH = "first_light"
NUMBERS = ("turns", "slots", "kv_tokens", "output_tokens", "repeats", "ttfb_repeats", "layers", "width")
BOUNDS = {
    "burst_throughput_ratio": ("at least", 0.9),
    "burst_kv_in_use_ratio": ("at least", 0.85),
    "engine_over_capacity": ("at most", 0),
    "second_start_s": ("at most", 25),
}


def main() -> int:
    parser = bench_parser(
        BENCH, "A turn through the pool against its engine asked directly.", FirstLightSettings, NUMBERS
    )
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", *NUMBERS)}
    settings = read_settings(FirstLightSettings, options.config, QUICK if options.quick else {}, flags)
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record, tempfile.TemporaryDirectory() as folder:
        model = tiny.write(Path(folder) / "random.gguf", settings.shape)
        with fresh_pool(_config(settings, model)) as pool:
            _run(pool, settings, record)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _config(settings: FirstLightSettings, model: Path) -> dict[str, Any]:
    measured = {
        "name": MODEL,
        "source": str(model),
        "slots": settings.slots,
        "context_tokens": settings.kv_tokens,
    }
    return {"models": [measured]}


def _run(pool: Pool, settings: FirstLightSettings, record: Recorder) -> None:
    record.add("start", seconds=pool.up())
    for _ in range(settings.starts - 1):
        pool.down()
        record.add("start", seconds=pool.up())
    kind, by_role = memory(pool.processes())
    record.add("memory", **{"as": kind, "bytes": by_role})
    guide, measured = settings_of(pool, GUIDE), settings_of(pool, MODEL)
    ledger = Ledger(pool.home, MODEL)
    asyncio.run(ttfb.measure(settings, pool.http, guide.address, guide.num_slots, record))
    asyncio.run(burst.Burst(settings, pool, measured.address, ledger, record).measure())


def _table(found: dict[str, Any]) -> str:
    lines = []
    for name, value in found.items():
        told = json.dumps(value) if isinstance(value, dict) else value
        word, bound = BOUNDS.get(name, ("", None))
        lines.append(f"{name:<26} {told}" + (f"   ({word} {bound})" if word else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
