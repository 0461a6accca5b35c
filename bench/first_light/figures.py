"""From raw events to figures.  Nothing else decides what is printed."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from bench.first_light.occupancy import Occupancy
from bench.harness.numbers import displacements, median_or_none, rank_correlation
from bench.harness.prompts import source_of
from bench.harness.record import Row, Run

MS = 1000.0
MIB = 2**20


def figures(run: Run) -> dict[str, Any]:
    settings = run.head["settings"]
    return {
        **_ttfb(run.of("ttfb")),
        **_burst(run),
        **_starts(run.of("start")),
        "memory_mib": _memory(run.of("memory")),
        "prompts": source_of(settings["data"]),
        "is_quick": settings["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _ttfb(rows: list[Row]) -> dict[str, Any]:
    """Medians over repeats of the median over prompts; differences are taken prompt by prompt."""
    return {
        "added_ttfb_p50_ms": _added(rows, "cold", "first_token_s"),
        "added_ttfb_warm_p50_ms": _added(rows, "warm", "first_token_s"),
        "added_first_byte_p50_ms": _added(rows, "cold", "first_byte_s"),
        "pool_ttfb_p50_ms": _plain(rows, "pool", "first_token_s"),
        "engine_ttfb_p50_ms": _plain(rows, "engine", "first_token_s"),
        "pool_first_byte_p50_ms": _plain(rows, "pool", "first_byte_s"),
        "ttfb_same_prompts": _same(rows, "prompt_tokens"),
        "ttfb_same_prefix_cache": _same(rows, "cached_tokens"),
    }


def _key(row: Row) -> tuple[int, int, str]:
    return row["seed"], row["prompt"], row["state"]


def _added(rows: list[Row], state: str, field: str) -> float | None:
    direct = {_key(row): row[field] for row in rows if row["side"] == "engine"}
    return _median_of_repeats(
        (row, row[field] - direct[_key(row)])
        for row in rows
        if row["side"] == "pool" and row["state"] == state
    )


def _plain(rows: list[Row], side: str, field: str) -> float | None:
    return _median_of_repeats(
        (row, row[field]) for row in rows if row["side"] == side and row["state"] == "cold"
    )


def _median_of_repeats(values: Iterable[tuple[Row, float]]) -> float | None:
    repeats: dict[tuple[int, int], list[float]] = {}
    for row, value in values:
        repeats.setdefault((row["seed"], row["repeat"]), []).append(value * MS)
    return median_or_none([median(found) for found in repeats.values()], 2)


def _same(rows: list[Row], field: str) -> bool:
    """Whether both sides saw the same of every prompt."""
    sides = [{_key(row): row[field] for row in rows if row["side"] == side} for side in ("pool", "engine")]
    return sides[0] == sides[1]


def _burst(run: Run) -> dict[str, Any]:
    turns, settings = run.of("turn"), run.head["settings"]
    pool = _by_repeat(row for row in turns if row["side"] == "pool")
    direct = _by_repeat(row for row in turns if row["side"] == "engine")
    held = [_occupancy(rows, settings) for rows in _by_repeat(run.of("ledger")).values()]
    moved = [displacements(each.arrived, each.started) for each in held]
    return {
        "burst_answered": min(sum(row["is_whole"] for row in rows) for rows in pool.values()),
        "burst_refused": max(sum(row["status"] != 200 for row in rows) for rows in pool.values()),
        "burst_order": {
            "max_displacement": max(max(each, default=0) for each in moved),
            "rank_correlation": round(min(map(rank_correlation, moved)), 4),
        },
        "burst_throughput_ratio": median_or_none([_tps(pool[key]) / _tps(direct[key]) for key in pool]),
        "burst_pool_tps": median_or_none(list(map(_tps, pool.values())), 1),
        "burst_engine_tps": median_or_none(list(map(_tps, direct.values())), 1),
        "burst_kv_in_use_ratio": median_or_none([each.in_use_ratio for each in held]),
        "burst_first_token_p50_s": median_or_none([_p50(rows, "first_token_s") for rows in pool.values()]),
        "burst_cpu_s": _cpu(run.of("burst")),
        "engine_over_capacity": sum(each.num_over for each in held) + _num_over(run.of("sample"), settings),
    }


def _by_repeat(rows: Iterable[Row]) -> dict[tuple[int, int], list[Row]]:
    found: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row["seed"], row["repeat"]), []).append(row)
    return found


def _tps(rows: list[Row]) -> float:
    """Tokens of all answers in a second, from the first request to the last token."""
    whole = [row for row in rows if row["is_whole"]]
    ended = max(row["sent_s"] + row["last_token_s"] for row in whole)
    return sum(row["completion_tokens"] for row in whole) / (ended - min(row["sent_s"] for row in rows))


def _p50(rows: list[Row], field: str) -> float | None:
    return median_or_none([row[field] for row in rows])


def _occupancy(rows: list[Row], settings: Row) -> Occupancy:
    held = Occupancy(settings["slots"], settings["kv_tokens"])
    for row in rows:
        held.take(row)
    return held


def _num_over(samples: list[Row], settings: Row) -> int:
    """Samples in which engine or front held more than there is, or the engine had to queue."""
    return sum(
        sample["deferred"] > 0
        or max(sample["busy_slots"], sample["num_leases"]) > settings["slots"]
        or sample["kv_tokens"] > settings["kv_tokens"]
        or sample["reserved_tokens"] + sample["resident_tokens"] > settings["kv_tokens"]
        for sample in samples
    )


def _cpu(bursts: list[Row]) -> dict[str, dict[str, float]]:
    """Median CPU seconds of a burst, by side and role; roles that took none are left out."""
    told: dict[str, dict[str, float]] = {}
    for side in ("pool", "engine"):
        spent = [row["cpu_s"] for row in bursts if row["side"] == side]
        medians = {role: median_or_none([each[role] for each in spent], 2) for role in spent[0]}
        told[side] = {role: seconds for role, seconds in medians.items() if seconds}
    return told


def _starts(rows: list[Row]) -> dict[str, float | None]:
    """The second: the median of all that found a home which had been used."""
    first, *later = (row["seconds"] for row in rows)
    return {"first_start_s": round(first, 1), "second_start_s": median_or_none(later, 1)}


def _memory(rows: list[Row]) -> dict[str, Any]:
    row = rows[-1]
    by_role = {role: round(held / MIB, 1) for role, held in row["bytes"].items()}
    return {"as": row["as"], "together": round(sum(by_role.values()), 1), "by_role": by_role}
