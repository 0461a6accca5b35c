"""From runs to figures, and how far they are from the reference."""

from statistics import mean
from typing import Any

from bench.harness.record import Row, Run
from bench.policies.reference import NEAR, REFERENCE, WHY

DEFAULTS = {"lab": "five-nodes", "turns": 6000}
"""The reference's set-up."""


def figures(run: Run) -> dict[str, Any]:
    """`ratio`: ours over the reference's, mean turn and p99 of the time to first token."""
    settings = run.head["settings"]
    cells = _cells(run.of("policy"))
    is_comparable = all(settings[name] == value for name, value in DEFAULTS.items())
    if is_comparable:
        for key, cell in cells.items():
            _compare(key, cell)
    compared = [cell for cell in cells.values() if "mean_ratio" in cell]
    outside = {name: _outside(name, cells) for name in ("mean", "p99")}
    return {
        "cells": len(compared),
        "mean_within_15pct": sum(cell["mean_near"] for cell in compared),
        "p99_within_15pct": sum(cell["p99_near"] for cell in compared),
        "mean_outside": outside["mean"],
        "p99_outside": outside["p99"],
        "why": {name: WHY[name] for name in WHY if any(f" {name} " in words for words in outside["mean"])},
        "policies": {_words(key): cell for key, cell in cells.items()},
        "sessions_from": "the trace of --data" if settings["data"] else "made ones",
        "is_quick": settings["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _cells(rows: list[Row]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Means over seeds, and the smallest and largest mean turn of a seed."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["device"], row["policy"], row["num_sessions"]), []).append(row["figures"])
    return {key: _cell(group) for key, group in groups.items()}


def _cell(group: list[Row]) -> dict[str, Any]:
    turns = [row["mean_turn_s"] for row in group]
    cell: dict[str, Any] = {name: round(mean(row[name] for row in group), 3) for name in group[0]}
    return {**cell, "seeds_mean_turn_s": [round(min(turns), 2), round(max(turns), 2)]}


def _compare(key: tuple[str, str, int], cell: dict[str, Any]) -> None:
    if key not in REFERENCE:
        return
    for name, ours, theirs in zip(
        ("mean", "p99"), (cell["mean_turn_s"], cell["ttft_p99_s"]), REFERENCE[key], strict=True
    ):
        cell[f"{name}_ratio"] = round(ours / theirs, 3)
        cell[f"{name}_near"] = abs(ours / theirs - 1) <= NEAR


def _outside(name: str, cells: dict[tuple[str, str, int], dict[str, Any]]) -> dict[str, float]:
    far = {key: cell for key, cell in cells.items() if not cell.get(f"{name}_near", True)}
    return {_words(key): cell[f"{name}_ratio"] for key, cell in far.items()}


def _words(key: tuple[str, str, int]) -> str:
    device, policy, number = key
    return f"{device} {policy} {number}"
