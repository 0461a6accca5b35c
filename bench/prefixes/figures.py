"""Means over seeds, by nodes, blocks and policy."""

from statistics import mean
from typing import Any

from bench.harness.record import Row, Run

HIT_SHARE, MAX_TO_MEAN = 0.98, 1.05
"""What is asked of our policy with 8 nodes of 8,000 blocks, on the recorded conversations."""


def figures(run: Run) -> dict[str, Any]:
    """`hit_share_of_pooled`, `max_to_mean_work`: of `hearth` in the first lab."""
    groups: dict[tuple[int, int, str], list[Row]] = {}
    for row in run.of("policy"):
        groups.setdefault((row["nodes"], row["blocks"], row["policy"]), []).append(row["figures"])
    cells = {key: _cell(group) for key, group in groups.items()}
    ours = next((cell for (_, _, policy), cell in cells.items() if policy == "hearth"), None)
    return {
        "hit_share_of_pooled": ours and ours["hit_share_of_pooled"],
        "max_to_mean_work": ours and ours["max_to_mean_work"],
        "is_reached": ours is not None and _is_reached(ours),
        "policies": {f"{nodes}x{blocks} {policy}": cell for (nodes, blocks, policy), cell in cells.items()},
        "index": {name: value for name, value in run.of("index")[0].items() if name != "kind"},
        "prompts_from": run.head["settings"]["prompts_from"],
        "is_quick": run.head["settings"]["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _is_reached(cell: dict[str, float]) -> bool:
    return cell["hit_share_of_pooled"] >= HIT_SHARE and cell["max_to_mean_work"] <= MAX_TO_MEAN


def _cell(group: list[Row]) -> dict[str, float]:
    return {name: round(mean(row[name] for row in group), 4) for name in group[0]}
