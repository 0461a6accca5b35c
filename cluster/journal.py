"""The router's journal: every event with its time, so that a live run can be replayed.

Append-only msgpack maps `{"now": seconds, "event": bytes}`, one file an epoch, the newest two kept and each
bounded: it serves understanding, not durability, and holds no word of a conversation and no secret.
"""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from cluster import codec
from cluster.core.events import Event

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
KEPT_EPOCHS = 2


class Journal:
    """Writes the journal of one epoch.

    A full one takes nothing more: its beginning is what replays.  Nor does one whose disk is full or gone:
    a router does without its journal.
    """

    def __init__(self, folder: Path, epoch: int, max_bytes: int = MAX_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("router-*.journal"))[: 1 - KEPT_EPOCHS]:
            old.unlink()
        self.path = folder / f"router-{epoch:08d}.journal"
        self._file: BinaryIO = self.path.open("wb", buffering=256 * 1024)
        self._left = max_bytes

    def append(self, event: Event, now: float) -> None:
        record: bytes = msgpack.packb({"now": now, "event": codec.encode(event)})
        self._left -= len(record)
        if self._left >= 0:
            with self._doing_without():
                self._file.write(record)

    def flush(self) -> None:
        with self._doing_without():
            self._file.flush()

    def close(self) -> None:
        with self._doing_without():
            self._file.close()

    @contextmanager
    def _doing_without(self) -> Generator[None]:
        try:
            yield
        except OSError as fault:
            if self._left >= 0:
                log.warning("the journal %s ends here: %s", self.path, fault)
            self._left = -1


def read(path: Path) -> Iterator[tuple[float, Event]]:
    """The events of a journal, oldest first; a record cut off at the end is left out.

    Raises ValueError on what is not a journal.
    """
    with path.open("rb") as file:
        for record in _records(path, file):
            event = codec.decode(record["event"])
            if not isinstance(event, Event):
                raise ValueError(f"{path} holds a command")
            yield record["now"], event


def _records(path: Path, file: BinaryIO) -> Iterator[dict[str, Any]]:
    try:
        for record in msgpack.Unpacker(file):
            if not isinstance(record, dict) or record.keys() != {"now", "event"}:
                raise ValueError(f"{path} holds something else than events")
            yield record
    except (msgpack.UnpackException, UnicodeDecodeError) as fault:
        raise ValueError(f"{path} is not a journal: {fault}") from fault
