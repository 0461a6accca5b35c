"""Random tiny models, written once a run."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from cluster.models import tiny
from cluster.models.tiny import Shape

CALM = Shape()
"""Talks on in ASCII and never ends by itself."""

WILD = Shape(is_wild=True)
"""Says any byte, pieces of characters and its end."""


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def tiny_gguf(shape: Shape = CALM) -> Path:
    """The path of a model of this shape."""
    return tiny.write(_folder() / f"tiny-{hash(shape) & 0xFFFFFFFF:08x}.gguf", shape)
