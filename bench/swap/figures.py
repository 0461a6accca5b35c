"""From raw events to figures."""

from typing import Any

from bench.harness.numbers import median_or_none, quantile
from bench.harness.prompts import source_of
from bench.harness.record import Row, Run
from bench.swap.settings import POLICIES
from bench.swap.story import idle_memory_s, swaps_s, waits_for_model

SEEN_S = 1.0
"""The client's clock begins before the router hears of the turn, which then looks once a tick."""


def figures(run: Run) -> dict[str, Any]:
    """`swap_lost_ratio`: time lost batched, over that of first come, first served, within a repeat."""
    settings = run.head["settings"]
    sides = {policy: _side(run, policy) for policy in POLICIES}
    ours, theirs = (sides[policy] for policy in POLICIES)
    pairs = zip(ours["lost_s"], theirs["lost_s"], strict=True)
    return {
        "swap_lost_ratio": median_or_none([mine / other if other else None for mine, other in pairs]),
        **{policy.replace("-", "_"): side for policy, side in sides.items()},
        "prompts": source_of(settings["data"]),
        "is_quick": settings["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _side(run: Run, policy: str) -> dict[str, Any]:
    """`model_wait_max_s`: the longest that a turn's model took no turns; `wait_bound_s`: the bound of that,
    `swap_wait_s`, the longest swap and SEEN_S."""
    turns = [row for row in run.of("turn") if row["policy"] == policy]
    ends = [row for row in run.of("end") if row["policy"] == policy]
    lost, loads = zip(*(idle_memory_s(_story(run, end), end["seconds"]) for end in ends), strict=True)
    swaps = [seconds for end in ends for seconds in swaps_s(_story(run, end))]
    waits = [
        wait for end in ends for wait in waits_for_model(_turns(run, end), _story(run, end), end["seconds"])
    ]
    firsts = [row["first_token_s"] for row in turns if row["first_token_s"] is not None]
    return {
        "turns": len(turns),
        "answered": sum(row["is_whole"] for row in turns),
        "lost_s": [round(seconds, 2) for seconds in lost],
        "loads": list(loads),
        "swap_max_s": round(max(swaps, default=0.0), 2),
        "model_wait_p50_s": round(quantile(waits, 0.5), 2),
        "model_wait_max_s": round(max(waits), 2),
        "wait_bound_s": round(run.head["settings"]["swap_wait_s"] + max(swaps, default=0.0) + SEEN_S, 2),
        "first_token_p50_s": round(quantile(firsts, 0.5), 2),
        "first_token_max_s": round(max(firsts), 2),
        "seconds": [round(end["seconds"], 1) for end in ends],
    }


def _story(run: Run, end: Row) -> list[Row]:
    return [row for row in run.of("story") if _key(row) == _key(end)]


def _turns(run: Run, end: Row) -> list[Row]:
    return [row for row in run.of("turn") if _key(row) == _key(end)]


def _key(row: Row) -> tuple[str, int, int]:
    return row["policy"], row["seed"], row["repeat"]
