"""`python -m bench.routing`: simulates, keeps each run's figures, compares the pool's with the others'."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder, Row
from bench.routing.figures import RATIOS, figures
from bench.routing.settings import QUICK, RoutingSettings
from cluster.core.errors import InvalidField
from cluster.simulate.belief import NO_MISTAKES, Mistakes
from cluster.simulate.lab import LABS
from cluster.simulate.run import run_policy, sessions_for
from cluster.simulate.trace import Session
from cluster.simulate.traces import lines_of
from cluster.simulate.world import Load

BENCH = "routing"
LISTS = {"labs": "five-nodes", "sessions": "12,24", "policies": "dualmap,router", "devices": "shared"}
"""Options of several values, with an example of each."""

OTHERS = ("turns", "ours", "memory_error", "speed_error")


def main() -> int:
    words = "The pool's routing, simulated, against the policies of others."
    parser = bench_parser(BENCH, words, RoutingSettings, ("turns",))
    for name, example in LISTS.items():
        parser.add_argument(f"--{name}", type=lambda text: tuple(text.split(",")), help=f"such as {example}")
    parser.add_argument("--ours", help="the policy that is compared with the others")
    for name in ("memory", "speed"):
        words = f"also run all with wrong beliefs of each node's {name}, off by such a part at most"
        parser.add_argument(f"--{name}-error", type=float, help=words)
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", *LISTS, *OTHERS)}
    settings = read_settings(RoutingSettings, options.config, QUICK if options.quick else {}, flags)
    try:
        sessions = {lab: _sessions(settings.data, lab) for lab in settings.labs}
    except InvalidField as fault:
        sys.exit(str(fault))
    told = {**settings.model_dump(), "is_quick": options.quick}
    with Recorder(BENCH, told, options.out) as record:
        for row in _runs(settings, sessions):
            record.add("policy", **row)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _sessions(data: str | None, lab: str) -> list[Session]:
    path = Path(data) if data else None
    with lines_of(path, "--data") as lines:
        return sessions_for(LABS[lab], lines, str(path))


def _runs(settings: RoutingSettings, sessions: dict[str, list[Session]]) -> Iterator[Row]:
    mistakes = Mistakes(settings.memory_error, settings.speed_error)
    beliefs = [(device, NO_MISTAKES) for device in settings.devices]
    if mistakes != NO_MISTAKES:
        beliefs.append((settings.devices[0], mistakes))
    policies = dict.fromkeys((*settings.policies, settings.ours))
    for lab, (device, belief), policy, number, seed in product(
        settings.labs, beliefs, policies, settings.sessions, settings.seeds
    ):
        load = Load(sessions[lab], number, settings.turns, seed)
        found = asdict(run_policy(LABS[lab], device, policy, load, mistakes=belief))
        who = {"lab": lab, "device": device, "policy": policy, "num_sessions": number, "seed": seed}
        yield {**who, "is_mistaken": belief is not NO_MISTAKES, "figures": found}


def _table(found: dict[str, Any]) -> str:
    head = f"{found['ours']}, prefill and decode {found['device']}; below 1: people wait less with it"
    lines = [head, *_lines(found["labs"], found["ours"])]
    if found["mistaken"]:
        lines += ["", "with wrong beliefs of the nodes", *_lines(found["mistaken"]["labs"], found["ours"])]
    return "\n".join(lines)


def _lines(labs: dict[str, Any], ours: str) -> Iterator[str]:
    for lab, numbers in labs.items():
        for number, cell in numbers.items():
            yield f"\n{lab}, {number} sessions: {_ratios(cell)}"
            yield f"{'':<22} {'mean s':>9} {'p99 s':>9} {'longest s':>9}  worst/median session"
            for name, one in sorted(cell["policies"].items(), key=lambda each: each[1]["mean_turn_s"]):
                mark = "*" if name == ours else " "
                yield (
                    f"{mark}{name:<21} {one['mean_turn_s']:9.2f} {one['ttft_p99_s']:9.1f}"
                    f" {one['longest_wait_s']:9.0f}  {one['worst_to_median_session']:.1f}"
                )


def _ratios(cell: dict[str, Any]) -> str:
    words = [
        f"{key} {cell[f'{key}_ratio_{whose}']} of {cell.get(f'{key}_{whose}', whose)}"
        for whose in ("best_shipping", "mooncake")
        for key in RATIOS
        if cell[f"{key}_ratio_{whose}"] is not None
    ]
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
