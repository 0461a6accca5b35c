"""`python -m bench.fidelity`: fits without each chip in turn, predicts that chip, compares."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.fidelity.figures import figures
from bench.fidelity.settings import FidelitySettings
from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder
from cluster.core.layout import EngineKind
from cluster.core.speed.fit import fitted, predicted
from cluster.core.speed.machines import known_machine
from cluster.core.speed.model import Split
from cluster.core.speed.points import BATCHES, POINTS, Point

BENCH = "fidelity"
QUICK: Mapping[str, Any] = {"chips": ("NVIDIA GB10",)}


def main() -> int:
    parser = bench_parser(BENCH, "Predicted against published speeds.", FidelitySettings)
    parser.add_argument("--chips", type=lambda text: tuple(text.split(",")), help="leave out these alone")
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "chips")}
    settings = read_settings(FidelitySettings, options.config, QUICK if options.quick else {}, flags)
    points = read_points(Path(settings.data)) if settings.data else (*POINTS, *BATCHES)
    everything = fitted(POINTS)
    with Recorder(BENCH, {**settings.model_dump(), "is_quick": options.quick}, options.out) as record:
        for chip in settings.chips or dict.fromkeys(map(chip_of, points)):
            others = fitted(point for point in POINTS if chip_of(point) != chip)
            for point in points:
                if chip_of(point) == chip:
                    record.add(
                        "point",
                        group=group_of(point),
                        chip=chip,
                        **_told(point),
                        predicted_tokens_s=predicted(point, others),
                        fitted_tokens_s=predicted(point, everything),
                    )
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def group_of(point: Point) -> str:
    if point.num_sequences > 1:
        return "batches"
    return "prefill" if point.num_tokens else "decode"


def chip_of(point: Point) -> str:
    """Machines that differ in memory alone are one."""
    return known_machine(point.machine).chip


def read_points(path: Path) -> tuple[Point, ...]:
    """Points from JSON lines."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return tuple(Point(**_typed(row)) for row in rows)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    kinds = {"engine": EngineKind, "split": Split}
    return {name: kinds[name](value) if name in kinds else value for name, value in row.items()}


def _told(point: Point) -> dict[str, Any]:
    fields = ("machine", "num_machines", "model", "quantisation", "engine", "split", "link", "depth")
    more = ("num_tokens", "num_sequences", "tokens_s", "source", "doubt")
    return {name: getattr(point, name) for name in (*fields, *more)}


def _table(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:<14} {json.dumps(value)}" for name, value in found.items())


if __name__ == "__main__":
    sys.exit(main())
