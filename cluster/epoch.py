"""The router's epoch: a number that only rises, kept in a file.

A router takes the next epoch before it does anything, so grants of an earlier one can be told apart.
"""

import fcntl
import os
from pathlib import Path


def take_next(path: Path) -> int:
    """Adds one to the number in `path`, durably, and returns it.  A missing file counts as 0.

    Raises ValueError on a file that holds something else.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        epoch = _number(file.read(), path) + 1
        # Never emptied first, so that no crash takes the number back: it only gets longer.
        file.seek(0)
        file.write(str(epoch).encode())
        os.fsync(file.fileno())
    return epoch


def _number(text: bytes, path: Path) -> int:
    if text and not text.isdigit():
        raise ValueError(f"{path} holds no epoch: remove it while no pool runs from here.")
    return int(text or b"0")
