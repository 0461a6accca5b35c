"""What the loader has started, in a file: a loader that starts anew has to know which layouts run.

The file is written before Serve is asked, so it may name what was never started; Serve knows better.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from cluster import codec
from cluster.core.events import LoaderReport
from cluster.core.facts import LoadedView
from cluster.core.ids import Cause, DeploymentId
from cluster.core.layout import Layout


class Book:
    """Layouts by deployment, in `path`.  Calls block on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[DeploymentId, Layout]:
        """What was written last; nothing where that cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            kept = codec.decode(self._path.read_bytes())
            if isinstance(kept, LoaderReport):
                return {view.deployment: view.layout for view in kept.deployments}
        return {}

    def write(self, layouts: Mapping[DeploymentId, Layout]) -> None:
        """Replaces the file at once.  Raises OSError."""
        views = tuple(LoadedView(deployment, layout) for deployment, layout in layouts.items())
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_bytes(codec.encode(LoaderReport(views, Cause("book"))))
        draft.replace(self._path)
