"""From predictions to figures.  An error is the part by which a prediction is off the published speed."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.harness.record import Row, Run

BOUND = 0.25
GROUPS = ("decode", "prefill")


def figures(run: Run) -> dict[str, Any]:
    """`median_error`, `worst_error`: over all points of one sequence, each predicted without any point of its
    chip.  `sure`: without those that are in doubt.  `beyond`: the points off by more than a quarter.
    `batches`: several sequences at once, to which nothing was fitted."""
    rows = [row for row in run.of("point") if row["group"] != "batches"]
    return {
        "points": len(rows),
        **_summary(rows),
        "sure": _summary([row for row in rows if not row["doubt"]]),
        **{group: _summary([row for row in rows if row["group"] == group]) for group in GROUPS},
        "batches": _summary([row for row in run.of("point") if row["group"] == "batches"]),
        "fitted_to_all": _summary(rows, "fitted_tokens_s"),
        "chips": {chip: _summary([r for r in rows if r["chip"] == chip]) for chip in _chips(rows)},
        "beyond": [
            {**row, "error": round(error_of(row), 3)}
            for row in sorted(rows, key=error_of, reverse=True)
            if error_of(row) > BOUND
        ],
        "data": run.head["settings"]["data"] or "published",
        "is_quick": run.head["settings"]["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def error_of(row: Row, predicted: str = "predicted_tokens_s") -> float:
    return abs(row[predicted] / row["tokens_s"] - 1)


def _chips(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["chip"] for row in rows))


def _summary(rows: Sequence[Row], predicted: str = "predicted_tokens_s") -> dict[str, Any]:
    errors = [error_of(row, predicted) for row in rows]
    if not errors:
        return {"num": 0, "median_error": None, "worst_error": None, "num_beyond": 0}
    return {
        "num": len(errors),
        "median_error": round(median(errors), 3),
        "worst_error": round(max(errors), 3),
        "num_beyond": sum(error > BOUND for error in errors),
    }
