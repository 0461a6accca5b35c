"""From runs to figures, and ours against the others'."""

from statistics import mean
from typing import Any

from bench.harness.record import Row, Run
from cluster.simulate.peers import SHIPPING

RATIOS = {"mean": "mean_turn_s", "p99": "ttft_p99_s"}
Cell = dict[str, Any]


def figures(run: Run) -> dict[str, Any]:
    """`labs`: by lab and number of sessions, on the first device; the other devices stand beside it.

    A ratio is ours over theirs, of means over seeds: below 1 people wait less with ours.
    """
    settings = run.head["settings"]
    rows, ours = run.of("policy"), settings["ours"]
    first, *others = settings["devices"]
    labs = {
        lab: {
            str(number): {
                **_compared(_of(rows, lab, number, first), ours),
                **{each: _compared(_of(rows, lab, number, each), ours) for each in others},
            }
            for number in settings["sessions"]
        }
        for lab in settings["labs"]
    }
    return {
        "ours": ours,
        "device": first,
        "labs": labs,
        "mistaken": _mistaken(rows, settings, first),
        "sessions_from": "the trace of --data" if settings["data"] else "made ones",
        **{name: settings[name] for name in ("seeds", "turns", "is_quick")},
        "code": run.head["code"],
        "machine": run.head["machine"],
    }


def _of(rows: list[Row], lab: str, number: int, device: str, *, is_mistaken: bool = False) -> list[Row]:
    wanted = (lab, number, device, is_mistaken)
    fields = ("lab", "num_sessions", "device", "is_mistaken")
    return [row for row in rows if tuple(row[field] for field in fields) == wanted]


def _mistaken(rows: list[Row], settings: dict[str, Any], device: str) -> dict[str, Any]:
    """The same with wrong beliefs; `*_ratio_exact`: to that policy with right ones."""
    errors = {name: settings[name] for name in ("memory_error", "speed_error")}
    if not any(errors.values()):
        return {}
    labs: dict[str, dict[str, Cell]] = {}
    for lab in settings["labs"]:
        for number in settings["sessions"]:
            cell = _compared(_of(rows, lab, number, device, is_mistaken=True), settings["ours"])
            exact = _policies(_of(rows, lab, number, device))
            for name, one in cell["policies"].items():
                one |= {f"{key}_ratio_exact": _ratio(one, exact[name], key) for key in RATIOS}
            labs.setdefault(lab, {})[str(number)] = cell
    return {**errors, "labs": labs}


def _compared(rows: list[Row], ours: str) -> Cell:
    policies = _policies(rows)
    mine = policies[ours]
    shipping = {name: cell for name, cell in policies.items() if name in SHIPPING and name != ours}
    found: Cell = {}
    for key, field in RATIOS.items():
        best = min(shipping, key=lambda name: shipping[name][field], default=None)
        found[f"{key}_ratio_best_shipping"] = _ratio(mine, shipping[best], key) if best else None
        found[f"{key}_best_shipping"] = best
        rival = policies.get("mooncake")
        found[f"{key}_ratio_mooncake"] = _ratio(mine, rival, key) if rival else None
    kept = ("worst_to_median_session", "longest_wait_s")
    return {**found, **{name: mine[name] for name in kept}, "policies": policies}


def _ratio(mine: Cell, theirs: Cell, key: str) -> float:
    return round(mine[RATIOS[key]] / theirs[RATIOS[key]], 3)


def _policies(rows: list[Row]) -> dict[str, Cell]:
    groups: dict[str, list[Cell]] = {}
    for row in rows:
        groups.setdefault(row["policy"], []).append(row["figures"])
    return {name: _cell(group) for name, group in groups.items()}


def _cell(group: list[Cell]) -> Cell:
    """Means over seeds, but the longest wait of all; and the smallest and largest mean turn of a seed."""
    turns = [each["mean_turn_s"] for each in group]
    return {
        **{name: round(mean(each[name] for each in group), 3) for name in group[0]},
        "longest_wait_s": round(max(each["longest_wait_s"] for each in group), 3),
        "seeds_mean_turn_s": [round(min(turns), 2), round(max(turns), 2)],
    }
