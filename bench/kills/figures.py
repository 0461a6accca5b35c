"""From raw events to figures."""

from typing import Any

from bench.harness.numbers import median_or_none
from bench.harness.record import Row, Run


def figures(run: Run) -> dict[str, Any]:
    rows: dict[str, list[Row]] = {}
    for row in run.of("kill"):
        rows.setdefault(row["model"], []).append(row)
    return {
        "engines": [{"name": name, **_of_engine(kills)} for name, kills in rows.items()],
        "is_quick": run.head["settings"]["is_quick"],
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _of_engine(kills: list[Row]) -> dict[str, Any]:
    lost = [kill for kill in kills if not kill["harmless"]]
    fates = [fate for kill in lost for fate in kill["fates_s"]]
    backs = [kill["back_s"] for kill in lost]
    return {
        "kills": len(kills),
        "harmless": len(kills) - len(lost),
        "victims": {name: sum(kill["victim"] == name for kill in kills) for name in _victims(kills)},
        "turns": sum(kill["num_turns"] for kill in kills),
        "turns_with_fate": sum(len(kill["fates_s"]) for kill in kills),
        "fate_max_s": round(max(fates), 2) if fates else None,
        "back_num": sum(back is not None for back in backs),
        "back_p50_s": median_or_none(backs, 2),
        "back_max_s": round(max(back for back in backs if back is not None), 2) if any(backs) else None,
        "whole_answers": sum(chars > 0 for kill in kills for chars in kill["answer_chars"]),
        "same_answer": sum(kill["num_equal"] for kill in kills),
        "left_over": sum(len(kill["left_over"]) for kill in kills),
    }


def _victims(kills: list[Row]) -> list[str]:
    return sorted({kill["victim"] for kill in kills})
