"""A lab of two hosts for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(["a", "b"]) as lab:
        yield lab
