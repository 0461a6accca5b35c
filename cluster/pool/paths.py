"""Where a pool keeps what it needs: one folder, and a short one where Unix sockets ask for it."""

import contextlib
import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cluster.config import home

MAX_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
RAY_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest name that Ray makes below its folder."""


@dataclass(frozen=True, slots=True)
class PoolPaths:
    home: Path

    @property
    def pool_id(self) -> str:
        """The same for every start from this home, so that the next one finds what a crash left."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def state(self) -> Path:
        return self.run / "pool.json"

    @property
    def config(self) -> Path:
        """The config that the running pool was started with, defaults and discoveries included."""
        return self.run / "config.json"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def token(self) -> Path:
        return self.run / "ray_token"

    @property
    def supervisor_log(self) -> Path:
        return self.logs / "supervisor.log"

    @property
    def door(self) -> Path:
        """The folder around Ray's, for this user alone: Ray opens its own folder to everyone."""
        if len(f"{self.run}/ray{RAY_SOCKET}".encode()) <= MAX_SOCKET_PATH_BYTES:
            return self.run
        return Path("/tmp") / f"hearth-{os.getuid()}-{self.pool_id}"

    @property
    def ray(self) -> Path:
        """Ray's folder: sockets, session, logs of the run."""
        return self.door / "ray"

    @property
    def temporary(self) -> Path:
        """Where the pool's processes keep what need not outlive them, engines' sockets above all: it goes
        with Ray's folder, also after a crash."""
        return self.ray / "tmp"

    @property
    def ray_logs(self) -> Path:
        """Where Ray writes while the pool runs."""
        return self.ray / "session_latest" / "logs"

    @property
    def kept_ray_logs(self) -> Path:
        """Where they are after the pool has ended."""
        return self.logs / "ray"

    def make(self) -> None:
        """Creates the folders.  Raises PermissionError where someone else could reach into them."""
        for folder in (self.home, self.run, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.door.mkdir(mode=0o700, exist_ok=True)
        owned = self.door.lstat()
        if owned.st_uid != os.getuid() or owned.st_mode & 0o077 or self.door.is_symlink():
            raise PermissionError(f"{self.door} is not private to this user: remove it")
        for folder in (self.ray, self.temporary):
            folder.mkdir(mode=0o700, exist_ok=True)

    def clear_ray(self) -> None:
        """Removes Ray's folder with all that is in it."""
        shutil.rmtree(self.ray, ignore_errors=True)
        if self.door != self.run:
            with contextlib.suppress(OSError):
                self.door.rmdir()


def pool_paths() -> PoolPaths:
    """The paths of the pool that `HEARTH_HOME` names."""
    return PoolPaths(home())
