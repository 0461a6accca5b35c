"""`python -m bench.policies`: simulates, keeps each run's figures, compares them with the reference."""

import argparse
import sys
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder
from bench.policies.figures import figures
from bench.policies.settings import QUICK, PoliciesSettings
from cluster.core.errors import InvalidField
from cluster.simulate.lab import LABS
from cluster.simulate.run import run_policy, sessions_for
from cluster.simulate.trace import Session
from cluster.simulate.traces import lines_of
from cluster.simulate.world import Load

BENCH = "policies"


def main() -> int:
    parser = bench_parser(
        BENCH, "The policies of others, simulated, against a reference.", PoliciesSettings, ("turns",)
    )
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "turns")}
    settings = read_settings(PoliciesSettings, options.config, QUICK if options.quick else {}, flags)
    try:
        sessions = _sessions(settings)
    except InvalidField as fault:
        sys.exit(str(fault))
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record:
        for device, policy, number, seed in product(
            settings.devices, settings.policies, settings.sessions, settings.seeds
        ):
            load = Load(sessions, number, settings.turns, seed)
            found = asdict(run_policy(LABS[settings.lab], device, policy, load))
            record.add("policy", device=device, policy=policy, num_sessions=number, seed=seed, figures=found)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _sessions(settings: PoliciesSettings) -> list[Session]:
    path = Path(settings.data) if settings.data else None
    with lines_of(path, "--data") as lines:
        return sessions_for(LABS[settings.lab], lines, str(path))


def _table(found: dict[str, Any]) -> str:
    means, p99s = found["mean_within_15pct"], found["p99_within_15pct"]
    head = f"of {found['cells']} cells {means} means and {p99s} p99 are within 15 % of the reference"
    rows = [
        f"{words:<38} {cell['mean_turn_s']:9.2f} {cell['ttft_p99_s']:9.1f}"
        f"  {cell.get('mean_ratio', ''):>6} {cell.get('p99_ratio', ''):>6}"
        for words, cell in found["policies"].items()
    ]
    return "\n".join([head, f"{'':<38} {'mean s':>9} {'p99 s':>9}   ratio  ratio", *rows])


if __name__ == "__main__":
    sys.exit(main())
