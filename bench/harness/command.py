"""What every bench's command does: measure or read a run, compute its figures, print them."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.harness.options import BenchSettings, common_parser
from bench.harness.record import ForeignResults, Run, check_own, read_run

Figures = dict[str, Any]


def bench_parser(
    bench: str, description: str, settings: type[BenchSettings], numbers: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """The options of every bench, `--quick`, and one for each of `numbers`, fields of `settings`."""
    parser = common_parser(bench, description, settings.data_help)
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures say little")
    for name in numbers:
        default = settings.model_fields[name].default
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"default: {default}")
    return parser


def run_bench(
    bench: str,
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], Path],
    figures: Callable[[Run], Figures],
    table: Callable[[Figures], str],
) -> int:
    """The exit status: 2 where `--report` names no results, or those of another bench or of other code."""
    try:
        run = read_run(options.report or measure(options))
        if options.report:
            check_own(run, bench)
    except ForeignResults as fault:
        print(f"{options.report}: {fault}", file=sys.stderr)
        return 2
    found = figures(run)
    print(json.dumps(found, indent=1) if options.as_json else table(found))
    return 0
