"""`python -m bench.prefixes`: replays prompts by each policy, keeps each run's figures and placements."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from bench.harness.command import bench_parser, run_bench
from bench.harness.options import read_settings
from bench.harness.record import Recorder
from bench.prefixes.figures import figures
from bench.prefixes.index import measure_index
from bench.prefixes.settings import QUICK, SHARED_TRACE, PrefixesSettings
from cluster.core.errors import InvalidField
from cluster.simulate.blocks.figures import block_figures
from cluster.simulate.blocks.made import MIXES, made_prompts
from cluster.simulate.blocks.policies import POLICIES
from cluster.simulate.blocks.prompt import Prompt, read_mooncake
from cluster.simulate.blocks.replay import Lab, pooled_hit_blocks, replay
from cluster.simulate.traces import lines_of

BENCH = "prefixes"


def main() -> int:
    parser = bench_parser(BENCH, "Prompts that share beginnings, against one pooled cache.", PrefixesSettings)
    for name in ("nodes", "blocks"):
        parser.add_argument(f"--{name}", type=_numbers, help="for example 4,8,16")
    parser.add_argument("--rate", type=float, help="tokens that a node prefills in a second")
    parser.add_argument("--made", choices=tuple(MIXES), help="which prompts to make, with --data made")
    return run_bench(BENCH, parser.parse_args(), _measure, figures, _table)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _measure(options: argparse.Namespace) -> Path:
    flags = {name: getattr(options, name) for name in ("seeds", "data", "nodes", "blocks", "rate", "made")}
    settings = read_settings(PrefixesSettings, options.config, QUICK if options.quick else {}, flags)
    path = _trace(settings)
    source = f"made {settings.made}" if path is None else str(path.name)
    told = {**settings.model_dump(), "prompts_from": source, "is_quick": options.quick}
    try:
        recorded = _recorded(path)
    except InvalidField as fault:
        sys.exit(str(fault))
    with Recorder(BENCH, told, options.out) as record:
        record.add("index", **asdict(measure_index(settings.sessions, settings.session_blocks)))
        for seed, prompts in _rounds(settings, recorded):
            for nodes, blocks in product(settings.nodes, settings.blocks):
                _replay_all(record, settings, Lab(nodes, blocks, settings.rate), seed, prompts)
    print(f"raw events: {record.path}", file=sys.stderr)
    return record.path


def _replay_all(
    record: Recorder, settings: PrefixesSettings, lab: Lab, seed: int, prompts: list[Prompt]
) -> None:
    pooled = pooled_hit_blocks(lab, prompts)
    for policy in settings.policies:
        placed = replay(lab, prompts, POLICIES[policy]())
        record.add(
            "policy",
            policy=policy,
            nodes=lab.num_nodes,
            blocks=lab.blocks_per_node,
            seed=seed,
            figures=asdict(block_figures(lab, placed, pooled)),
            placed=[[each.node, each.hit_blocks] for each in placed],
        )


def _trace(settings: PrefixesSettings) -> Path | None:
    """None: made prompts."""
    if settings.data is None:
        return SHARED_TRACE if SHARED_TRACE.exists() else None
    return None if settings.data == "made" else Path(settings.data)


def _recorded(path: Path | None) -> list[Prompt] | None:
    """Raises InvalidField."""
    with lines_of(path, "--data") as lines:
        return None if lines is None else read_mooncake(lines, str(path))


def _rounds(settings: PrefixesSettings, recorded: list[Prompt] | None) -> Iterator[tuple[int, list[Prompt]]]:
    if recorded is not None:
        yield 0, recorded
        return
    for seed in settings.seeds:
        yield seed, made_prompts(MIXES[settings.made], seed)


def _table(found: dict[str, Any]) -> str:
    names = ("hit_share_of_pooled", "max_to_mean_work", "worst_5min_max_to_mean_work", "first_token_mean_s")
    heads = ("hits", "max/mean", "5 min", "first s")
    rows = [
        f"{words:<28}" + "".join(f" {cell[name]:10.3f}" for name in names)
        for words, cell in found["policies"].items()
    ]
    head = f"{found['prompts_from']:<28}" + "".join(f" {head:>10}" for head in heads)
    return "\n".join([head, *rows, f"index: {found['index']}"])


if __name__ == "__main__":
    sys.exit(main())
