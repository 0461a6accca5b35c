"""Labs of two hosts for the tests of a module."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.support import checkpoints

COMPILED = Path("/tmp/mlx")
"""What MLX compiles for CPUs and finds again at its next start, 10 s earlier."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(["a", "b"]) as lab:
        yield lab


@pytest.fixture(scope="session")
def sockets() -> Iterator[Path]:
    """A folder that the hosts share with the tests, its path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hearth-lab-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def engine_lab(sockets: Path) -> Iterator[Lab]:
    """Its hosts see the models of tests/support/checkpoints.py.  Engines of the tests' own process keep
    their sockets where rank 0 finds them."""
    COMPILED.mkdir(exist_ok=True)
    shared = [models(), sockets, COMPILED]
    with pytest.MonkeyPatch.context() as patch, Lab(["a", "b"], shared=shared) as lab:
        patch.setattr(tempfile, "tempdir", str(sockets))
        yield lab


def models() -> Path:
    """The folder of all models."""
    return checkpoints.random_hf().parent
