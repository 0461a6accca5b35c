"""One `up` or `down` of a pool at a time."""

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class LockBusy(TimeoutError):
    """Another command held the pool's lock all the time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"Another `hearth up` or `hearth down` is at work on this pool ({self.path})."


@contextmanager
def pool_lock(path: Path, timeout_s: float, poll_s: float = 0.1) -> Generator[None]:
    """Holds the lock; it falls with the process.  Raises LockBusy after `timeout_s`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + timeout_s
    # Inheritable descriptors would hand the lock on to the supervisor: Python's are not.
    with path.open("a") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > end:
                raise LockBusy(path)
            time.sleep(poll_s)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
