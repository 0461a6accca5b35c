"""From raw events to figures."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from bench.harness.engines import ENGINES
from bench.harness.numbers import median_or_none
from bench.harness.prompts import source_of
from bench.harness.record import Row, Run

SIDES = ("pool", "engine")


def figures(run: Run) -> dict[str, Any]:
    settings = run.head["settings"]
    by_engine: dict[str, list[Row]] = {}
    for row in run.rows:
        if row["kind"] in ("greedy", "session", "ttft", "burst"):
            by_engine.setdefault(row["engine"], []).append(row)
    texts = {name: _texts(rows) for name, rows in by_engine.items()}
    return {
        "engines": [{"name": name, **_of_engine(name, rows, texts)} for name, rows in by_engine.items()],
        "not_run": {row["engine"]: row["reason"] for row in run.of("not-run")},
        "preemptions": _flood(run.of("flood")),
        "prompts": source_of(settings["data"]),
        "is_quick": settings["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _texts(rows: list[Row]) -> dict[tuple[int, int], str]:
    return {(row["seed"], row["prompt"]): row["engine_text"] for row in _of(rows, "greedy")}


def _of(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _of_engine(name: str, rows: list[Row], texts: dict[str, dict]) -> dict[str, Any]:
    """`greedy_equal`: every greedy answer through the pool is that of the engine asked directly, and of the
    same engine on one rank where that was measured too."""
    greedy = _of(rows, "greedy")
    base = texts.get(ENGINES[name].base, {})
    same_direct = [row["pool_text"] == row["engine_text"] for row in greedy]
    same_base = [base.get(prompt, text) == text for prompt, text in texts[name].items()]
    other = texts.get("llamacpp", {})
    return {
        "greedy_equal": all(same_direct) and all(same_base),
        "greedy_prompts": len(greedy),
        "greedy_same_as_llamacpp": sum(other.get(prompt) == text for prompt, text in texts[name].items()),
        "prefix_prefill_share": _prefill_share(_of(rows, "session")),
        "tokens_per_s_ratio": median_or_none(_tps_ratios(_of(rows, "burst"))),
        "ttft_ratio": _ttft_ratio(_of(rows, "ttft")),
        "tokens_per_s": median_or_none([_tps(row["turns"]) for row in _side(_of(rows, "burst"), "pool")], 1),
        "ttft_p50_ms": _ttft_ms(_of(rows, "ttft"), "pool"),
        "engine_ttft_p50_ms": _ttft_ms(_of(rows, "ttft"), "engine"),
    }


def _prefill_share(rows: list[Row]) -> float | None:
    """The largest share of a second turn's prompt that was computed again."""
    shares = [1 - row["second"]["cached_tokens"] / row["second"]["prompt_tokens"] for row in rows]
    return round(max(shares), 4) if shares else None


def _side(rows: list[Row], side: str) -> list[Row]:
    return [row for row in rows if row["side"] == side]


def _tps(turns: list[Row]) -> float:
    """Tokens of all answers in a second, from the first request to the last token."""
    ended = max(row["sent_s"] + row["last_token_s"] for row in turns)
    return sum(row["tokens"] for row in turns) / (ended - min(row["sent_s"] for row in turns))


def _tps_ratios(rows: list[Row]) -> list[float | None]:
    """Pool over engine, within a repeat."""
    both = {(row["seed"], row["repeat"], row["side"]): _tps(row["turns"]) for row in rows}
    keys = {key[:2] for key in both}
    return [both[(*key, "pool")] / both[(*key, "engine")] for key in sorted(keys)]


def _ttft_ms(rows: list[Row], side: str) -> float:
    return round(median(row["first_token_s"] for row in _side(rows, side)) * 1000, 2)


def _ttft_ratio(rows: list[Row]) -> float:
    return round(_ttft_ms(rows, "pool") / _ttft_ms(rows, "engine"), 3)


def _flood(rows: list[Row]) -> dict[str, Any] | None:
    """More turns at once than its KV memory holds, through the pool and into the engine itself."""
    if not rows:
        return None
    return {
        **{f"{side}_preemptions": sum(row["preemptions"] for row in _side(rows, side)) for side in SIDES},
        **{f"{side}_refused": _num_refused(_side(rows, side)) for side in SIDES},
        "turns": sum(len(row["turns"]) for row in _side(rows, "pool")),
        "throughput_ratio": median_or_none(_tps_ratios(rows)),
        **{
            f"{side}_tokens_per_s": median_or_none([_tps(row["turns"]) for row in _side(rows, side)], 1)
            for side in SIDES
        },
    }


def _num_refused(rows: list[Row]) -> int:
    return sum(turn["error"] is not None for row in rows for turn in row["turns"])
