"""`python -m bench.decisions`: drives the machine through two homes, and keeps what each event cost."""

import argparse
import sys
from pathlib import Path
from random import Random
from typing import Any

from bench.decisions.figures import figures
from bench.decisions.home import Home
from bench.decisions.meter import Meter, size_of
from bench.decisions.naive import scan
from bench.decisions.settings import QUICK, DecisionsSettings
from bench.decisions.world import World
from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder
from cluster.core.machine import RouterMachine
from cluster.core.placement import Policy, nearest_prefix

BENCH = "decisions"
NUMBERS = (
    "replicas",
    "sessions",
    "many_replicas",
    "many_sessions",
    "models",
    "turns",
    "warm_turns",
    "naive_turns",
)


def main() -> int:
    words = "What a turn costs the router's machine, at a home's size and far beyond."
    return run_bench(
        BENCH, bench_parser(BENCH, words, DecisionsSettings, NUMBERS).parse_args(), _measure, figures, _table
    )


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", *NUMBERS)}
    settings = read_settings(DecisionsSettings, options.config, QUICK if options.quick else {}, flags)
    told = {**settings.model_dump(), "is_quick": options.quick}
    few, many = (settings.replicas, settings.sessions), (settings.many_replicas, settings.many_sessions)
    with Recorder(BENCH, told, options.out) as record:
        for seed in settings.seeds:
            if settings.naive_turns:
                for name, policy in (("few_indexed", nearest_prefix), ("few_naive", scan)):
                    _drive(record, settings, name, few, seed, settings.naive_turns, policy)
            _drive(record, settings, "few", few, seed, settings.turns, nearest_prefix)
            _drive(record, settings, "many", many, seed, settings.turns, nearest_prefix)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _drive(
    record: Recorder,
    settings: DecisionsSettings,
    name: str,
    size: tuple[int, int],
    seed: int,
    num_turns: int,
    policy: Policy,
) -> None:
    replicas, sessions = size
    machine = RouterMachine(1, policy)
    home = Home(settings, replicas, sessions, Random(seed))
    meter = Meter(machine)
    world = World(settings, home, meter)
    world.run(settings.warm_turns)
    meter.begin()
    began_at, num_before, num_waited = world.now, world.num_finished, world.num_waited
    world.run(num_turns)
    machine.check()
    known = machine.view(world.now).sessions
    record.add(
        "home",
        name=name,
        seed=seed,
        replicas=replicas,
        sessions=sessions,
        turns=world.num_finished - num_before,
        virtual_s=round(world.now - began_at, 3),
        waited=world.num_waited - num_waited,
        commands=meter.num_commands,
        said=meter.said,
        known_sessions=len(known),
        machine_bytes=size_of(machine),
        spent_ns=meter.spent_ns,
    )
    meter.end()


def _table(found: dict[str, Any]) -> str:
    rows = [
        f"{name:<12} {home['turns_per_s']:9.0f} {home['turn_us']:9.1f} {home['p99_us']:9.1f} "
        f"{home['turn_us_with_heartbeats']:9.1f} {home['waited_share']:8.3f} {home['bytes_per_session']:8.0f}"
        for name, home in found["homes"].items()
    ]
    head = f"{'':<12} {'turns/s':>9} {'turn us':>9} {'p99 us':>9} {'+ beats':>9} {'waited':>8} {'B':>8}"
    return "\n".join([head, *rows, f"growth {found['growth']}, naive decides alike: {found['naive_agrees']}"])


if __name__ == "__main__":
    sys.exit(main())
