"""`python -m bench.engines`: measures, keeps the raw events, prints the figures."""

import argparse
import json
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.engines.figures import figures
from bench.engines.homes import Target, socket_of
from bench.engines.settings import QUICK, EngineSettings
from bench.engines.two_nodes import NoLab, over_two_nodes
from bench.harness.command import bench_parser, run_bench
from bench.harness.engines import ENGINES, BenchedEngine, model_of
from bench.harness.options import read_settings
from bench.harness.pool import fresh_pool
from bench.harness.record import Recorder

BENCH = "engines"
NUMBERS = ("greedy_prompts", "sessions", "ttft_samples", "burst_turns", "repeats", "flood_turns")


def main() -> int:
    parser = bench_parser(
        BENCH,
        "Each engine through the pool, against the same engine asked directly.",
        EngineSettings,
        NUMBERS,
    )
    parser.add_argument("--engines", type=lambda text: tuple(text.split(",")), help=f"of {','.join(ENGINES)}")
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "engines", *NUMBERS)}
    settings = read_settings(EngineSettings, options.config, QUICK if options.quick else {}, flags)
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for engine in (ENGINES[name] for name in settings.engines):
            print(f"measuring {engine.name}", file=sys.stderr)
            try:
                _one(engine, settings, folder, record)
            except NoLab as fault:
                record.add("not-run", engine=engine.name, reason=str(fault))
        if settings.flood_turns and "vllm" in settings.engines:
            _flood(settings, folder, record)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _one(engine: BenchedEngine, settings: EngineSettings, folder: Path, record: Recorder) -> None:
    with _running(engine, model_of(engine, folder)) as target:
        for row in target.measure(settings.model_dump()):
            record.add(row.pop("kind"), engine=engine.name, **row)


def _flood(settings: EngineSettings, folder: Path, record: Recorder) -> None:
    """With as many sequences at once as there are turns: only its KV memory is short."""
    more = {"context_tokens": settings.flood_kv_tokens, "slots": settings.flood_turns}
    with _running(ENGINES["vllm"], model_of(ENGINES["vllm"], folder, **more)) as target:
        for row in target.measure(settings.model_dump(), is_flood=True):
            record.add(row.pop("kind"), **row)


@contextmanager
def _running(engine: BenchedEngine, model: dict[str, Any]) -> Generator[Target]:
    config = {"models": [model], "guide": False, "gateway": {"patience_s": 1800}}
    if engine.num_nodes > 1:
        with over_two_nodes(engine, config) as target:
            yield target
        return
    with fresh_pool(config) as pool:
        pool.up()
        yield Target(engine.name, engine.kind, pool.http, socket_of(pool, engine.name))


def _table(found: dict[str, Any]) -> str:
    lines = [f"{'engine':<17} equal  prefill of turn 2  tokens/s  of direct  TTFT ms  of direct"]
    for row in found["engines"]:
        lines.append(
            f"{row['name']:<17} {row['greedy_equal']!s:<6} {row['prefix_prefill_share']:<18} "
            f"{row['tokens_per_s']:<9} {row['tokens_per_s_ratio']:<10} {row['ttft_p50_ms']:<8} "
            f"{row['ttft_ratio']}"
        )
    lines += [f"{name}: not run, {reason}" for name, reason in found["not_run"].items()]
    return "\n".join([*lines, f"flood of a vLLM: {json.dumps(found['preemptions'])}"])


if __name__ == "__main__":
    sys.exit(main())
