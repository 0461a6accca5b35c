"""Private folders of engines, for sockets and scratch files, each held by the process that made it.

A process that is killed removes nothing.  So each folder is locked by its maker, for as long as that lives,
and whoever makes the next one removes those that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "hearth-engine-"
MAX_BYTES = 60
"""Of a path: vLLM puts sockets with names of 36 bytes into it, and kernels keep 103 bytes of each or more."""

_SHARED_MEMORY = Path("/dev/shm")
_held: dict[Path, int] = {}
"""Descriptors of this process's folders: the kernel lets go of a lock with its process."""


def new(max_bytes: int = MAX_BYTES) -> Path:
    """A new folder for this user alone, whose path is no longer than `max_bytes`."""
    place = Path(tempfile.gettempdir())
    if len(str(place / PREFIX)) + 8 > max_bytes:
        place = Path("/tmp")
    _remove_abandoned(place)
    # Under another name until it is held, so that nobody takes it for an abandoned one.
    draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place))
    folder = draft.with_name(draft.name.removeprefix("."))
    descriptor = _lock(draft)
    assert descriptor is not None
    draft.rename(folder)
    _held[folder] = descriptor
    return folder


def remove(folder: Path) -> None:
    """May be called twice."""
    # Killed workers of vLLM leave their shared memory, which is named for the file in which they met.
    for meeting in folder.glob("vllm_dist_*"):
        for left in _SHARED_MEMORY.glob(f"{meeting.name}*"):
            left.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _held.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        descriptor = _lock(folder)
        if descriptor is not None:
            remove(folder)
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """None: it is another's, or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid == os.geteuid():
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
