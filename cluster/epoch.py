"""The router's epoch: a number that only rises, kept in a file.

A router takes the next epoch before it does anything, so grants of an earlier one can be told apart.
"""

import fcntl
import os
from pathlib import Path


def take_next(path: Path) -> int:
    """Adds one to the number in `path`, durably, and returns it.  A missing file counts as 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        epoch = int(file.read() or 0) + 1
        file.truncate(0)
        file.write(str(epoch))
        file.flush()
        os.fsync(file.fileno())
    return epoch
