"""From what each event cost to the cost of a turn, and how it grows."""

from statistics import mean
from typing import Any

from bench.decisions.meter import TURN_EVENTS
from bench.harness.numbers import quantile
from bench.harness.record import Row, Run


def figures(run: Run) -> dict[str, Any]:
    """Means over seeds; p99 over all events of all seeds.  The first four are of the smaller home."""
    settings = run.head["settings"]
    by_name: dict[str, list[Row]] = {}
    for row in run.of("home"):
        by_name.setdefault(row["name"], []).append(row)
    homes = {name: _home(rows) for name, rows in by_name.items()}
    few, many = homes["few"], homes["many"]
    return {
        "turns_per_s": few["turns_per_s"],
        "p99_us": few["p99_us"],
        "bytes_per_session": max(few["bytes_per_session"], many["bytes_per_session"]),
        "growth": round(many["turn_us"] / few["turn_us"], 2),
        "growth_with_heartbeats": round(many["turn_us_with_heartbeats"] / few["turn_us_with_heartbeats"], 2),
        "naive_ratio": _naive_ratio(homes),
        "naive_agrees": _agrees(by_name),
        "homes": homes,
        "seeds": list(settings["seeds"]),
        "is_quick": settings["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _home(rows: list[Row]) -> dict[str, Any]:
    turn_us = mean(_turn_us(row, TURN_EVENTS) for row in rows)
    kinds = sorted({kind for row in rows for kind in row["spent_ns"]})
    everything = [spent for row in rows for each in row["spent_ns"].values() for spent in each]
    num_turns = sum(row["turns"] for row in rows)
    arrived = sum(len(row["spent_ns"].get("TurnArrived", ())) for row in rows)
    return {
        "replicas": rows[0]["replicas"],
        "sessions": rows[0]["sessions"],
        "turns_per_s": round(1e6 / turn_us, 1),
        "turn_us": round(turn_us, 1),
        "turn_us_with_heartbeats": round(mean(_turn_us(row, frozenset(kinds)) for row in rows), 1),
        "p50_us": round(quantile(everything, 0.5) / 1e3, 1),
        "p99_us": round(quantile(everything, 0.99) / 1e3, 1),
        "waited_share": round(sum(row["waited"] for row in rows) / max(arrived, 1), 3),
        "evictions_per_turn": round(sum(row["commands"].get("Evict", 0) for row in rows) / num_turns, 3),
        "turns_per_virtual_s": round(num_turns / sum(row["virtual_s"] for row in rows), 1),
        "bytes_per_session": round(mean(row["machine_bytes"] / row["known_sessions"] for row in rows)),
        "events": {
            kind: _event([spent for row in rows for spent in row["spent_ns"].get(kind, ())]) for kind in kinds
        },
    }


def _turn_us(row: Row, kinds: frozenset[str]) -> float:
    return sum(sum(row["spent_ns"].get(kind, ())) for kind in kinds) / row["turns"] / 1e3


def _event(spent_ns: list[int]) -> dict[str, float]:
    return {
        "num": len(spent_ns),
        "mean_us": round(mean(spent_ns) / 1e3, 1),
        "p50_us": round(quantile(spent_ns, 0.5) / 1e3, 1),
        "p99_us": round(quantile(spent_ns, 0.99) / 1e3, 1),
    }


def _naive_ratio(homes: dict[str, dict[str, Any]]) -> float | None:
    """The cost of a turn with the naive scan over ours, same turns."""
    if "few_naive" not in homes:
        return None
    return round(homes["few_naive"]["turn_us"] / homes["few_indexed"]["turn_us"], 2)


def _agrees(by_name: dict[str, list[Row]]) -> bool | None:
    """Whether both said the same commands in the same order."""
    if "few_naive" not in by_name:
        return None
    pairs = zip(by_name["few_naive"], by_name["few_indexed"], strict=True)
    return all(naive["said"] == indexed["said"] for naive, indexed in pairs)
