"""What the router's journal says of loading: since when each model held memory and served nobody."""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster import journal
from cluster.core.events import LoaderReport, ReplicaDraining, ReplicaGone, ReplicaReady

Row = dict[str, Any]


def rows(home: Path, since_s: float, until_s: float) -> Iterator[Row]:
    """`held`: the deployments that hold memory, of each report that differs; and what replicas said."""
    held: list[str] = []
    names: dict[str, str] = {}
    for now, event in journal.read(max((home / "journal").glob("router-*.journal"))):
        row: Row | None = None
        match event:
            case LoaderReport():
                told = sorted(f"{each.deployment}{'-' * each.ending}" for each in event.deployments)
                row, held = ({"what": "held", "names": told} if told != held else None), told
            case ReplicaReady():
                names[event.replica] = event.deployment
                row = {"what": "ready", "name": event.deployment}
            case ReplicaDraining() | ReplicaGone():
                what = "draining" if isinstance(event, ReplicaDraining) else "gone"
                row = {"what": what, "name": names.get(event.replica, "")}
        if row is not None and now <= until_s:
            yield {"at_s": now - since_s, **row}


def idle_memory_s(told: list[Row], until_s: float) -> tuple[float, int]:
    """Seconds, summed over models, in which a model held memory and took no turns, between 0 and `until_s`;
    and how many times one became ready."""
    holding: set[str] = set()
    ready: set[str] = set()
    lost_s, num_loads, before_s = 0.0, 0, 0.0
    end: Row = {"at_s": until_s, "what": "end"}
    for row in [*told, end]:
        at_s = max(row["at_s"], 0.0)
        lost_s += (at_s - before_s) * len(holding - ready)
        before_s = at_s
        match row["what"]:
            case "held":
                holding = {name.removesuffix("-") for name in row["names"]}
                ready -= {name.removesuffix("-") for name in row["names"] if name.endswith("-")}
            case "ready":
                num_loads += row["name"] not in ready and row["at_s"] > 0
                ready.add(row["name"])
                holding.add(row["name"])
            case "draining" | "gone":
                ready.discard(row["name"])
    return lost_s, num_loads


def swaps_s(told: list[Row]) -> list[float]:
    """Of each swap, the seconds from the last time a model stopped to take turns until another was ready."""
    found, closed_s = [], None
    for row in told:
        if row["what"] == "draining":
            closed_s = row["at_s"]
        elif row["what"] == "ready" and closed_s is not None:
            found.append(row["at_s"] - closed_s)
            closed_s = None
    return found


def waits_for_model(turns: list[Row], told: list[Row], until_s: float) -> list[float]:
    """Of each turn, the seconds until its model took turns: 0 where it did when the turn arrived."""
    changes: dict[str, list[tuple[float, bool]]] = {}
    for row in told:
        if row["what"] in ("ready", "draining", "gone"):
            changes.setdefault(row["name"], []).append((row["at_s"], row["what"] == "ready"))
    return [_wait(changes.get(turn["model"], []), turn["at_s"], until_s) for turn in turns]


def _wait(changes: list[tuple[float, bool]], at_s: float, until_s: float) -> float:
    place = bisect_left(changes, (at_s, True))
    if place and changes[place - 1][1]:
        return 0.0
    return next((change_s for change_s, is_ready in changes[place:] if is_ready), until_s) - at_s
