"""From raw events to figures."""

from pathlib import Path
from typing import Any

from bench.harness.record import Row, Run

TOLERANCE = 0.03
MIB = 2**20


def figures(run: Run) -> dict[str, Any]:
    """`weights_within_3pct`, of `weights_pairs`.  `kv_exact`: models whose bytes are the published ones;
    `kv_wrong`: the others."""
    pairs, kv = run.of("weights"), run.of("kv")
    wrong = [row for row in kv if not _is_exact(row)]
    return {
        "kv_exact": len(kv) - len(wrong),
        "kv_wrong": len(wrong),
        "kv_wrong_models": [{key: value for key, value in row.items() if key != "kind"} for row in wrong],
        "weights_within_3pct": sum(abs(_error(row)) <= TOLERANCE for row in pairs),
        "weights_pairs": len(pairs),
        "weights_within_3pct_as_printed": sum(abs(_error(row, "printed")) <= TOLERANCE for row in pairs),
        "weights_outside": [_told(row) for row in pairs if abs(_error(row)) > TOLERANCE],
        "weights_worst": max(map(_told, pairs), key=lambda told: abs(told["error"]), default=None),
        "models": len(run.of("model")),
        "models_in_doubt": {row["model"]: row["doubts"] for row in run.of("model") if row.get("doubts")},
        "models_refused": {row["model"]: row["fault"] for row in run.of("model") if "fault" in row},
        **_engines(run),
        "data": Path(run.head["settings"]["data"]).name
        if run.head["settings"]["data"]
        else "published models",
        "is_quick": run.head["settings"]["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _engines(run: Run) -> dict[str, Any]:
    """`engine_max_error`: of weights and KV together; None where no engine ran."""
    told = [_engine(row) for row in run.of("engine")]
    return {
        "engine_max_error": max((abs(each["total_error"]) for each in told), default=None),
        "engine_kv_error_bytes": max((abs(each["kv_error_bytes"]) for each in told), default=None),
        "engine_buffers_short": sum(each.get("buffers_taken_ratio", 0) > 1 for each in told),
        "engines": told,
        "engines_skipped": {row["engine"]: row["why"] for row in run.of("skipped")},
    }


def _engine(row: Row) -> Row:
    """An error of the KV within what the engine rounds away is none."""
    kv_error_bytes = row["kv_planned_bytes"] - row["kv_told_bytes"]
    found = {
        "engine": row["engine"],
        "kind": row["memory_kind"],
        "kv_error_bytes": 0 if 2 * abs(kv_error_bytes) <= row["step_bytes"] else kv_error_bytes,
        "kv_told_to_bytes": row["step_bytes"],
        "total_error": round(row["total_planned_bytes"] / row["total_told_bytes"] - 1, 4),
    }
    if "buffers_told_bytes" in row:
        found["buffers_taken_ratio"] = round(row["buffers_told_bytes"] / row["buffers_planned_bytes"], 3)
    return found


def _error(row: Row, against: str = "published") -> float:
    return row["estimated_bytes"] / row[f"{against}_bytes"] - 1


def _told(row: Row) -> Row:
    return {
        "model": row["model"],
        "quantisation": row["quantisation"],
        "error": round(_error(row), 4),
        "why": row["miss"],
    }


def _is_exact(row: Row) -> bool:
    """To the byte for a token; to the tenth of a MiB that is published for a sequence."""
    sequence = row["sequence_mib"]
    is_same = sequence is None or round(row["estimated_sequence_bytes"] / MIB, 1) == sequence
    return row["estimated_token_bytes"] == row["token_bytes"] and is_same
