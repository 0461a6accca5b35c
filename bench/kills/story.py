"""What the router's journal says of one kill: when each turn was known to be lost, when the gang was back."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster import journal
from cluster.core.events import Event, ReplicaGone, ReplicaReady, StreamLost, TurnFinished

POLL_S = 0.25
"""The router writes its journal down four times a second."""


@dataclass(frozen=True, slots=True)
class Story:
    """Seconds after the kill; None: not within the time that was given.  `harmless`: the gang did without
    what was killed, and every turn came to its end."""

    gone_s: float | None
    back_s: float | None
    fates_s: tuple[float, ...]
    harmless: bool = False


def _events(home: Path, since_s: float) -> Iterator[tuple[float, Event]]:
    for now, event in journal.read(max((home / "journal").glob("router-*.journal"))):
        if now >= since_s:
            yield now, event


async def read_story(home: Path, model: str, killed_s: float, num_turns: int, within_s: float) -> Story:
    """Waits until every turn has had its fate and the gang is back, if it was lost; `within_s` at most.
    To be called when the turns are over: a gang that was not lost until then will not be."""
    while True:
        story = _story(list(_events(home, killed_s)), model, killed_s)
        has_gang = story.harmless or story.back_s is not None
        is_whole = has_gang and len(story.fates_s) >= num_turns
        if is_whole or time.monotonic() - killed_s > within_s:
            return story
        await asyncio.sleep(POLL_S)


def _story(events: list[tuple[float, Event]], model: str, killed_s: float) -> Story:
    gone = [now for now, event in events if isinstance(event, ReplicaGone)]
    back = [now for now, event in events if isinstance(event, ReplicaReady) and event.model == model]
    fates: dict[str, float] = {}
    lost = False
    for now, event in events:
        if isinstance(event, StreamLost | TurnFinished):
            fates.setdefault(event.turn, now - killed_s)
            lost |= isinstance(event, StreamLost)
    return Story(
        gone[0] - killed_s if gone else None,
        back[-1] - killed_s if back else None,
        tuple(sorted(fates.values())),
        harmless=bool(fates) and not gone and not lost,
    )
