"""The epoch only rises, whoever takes it and whatever happens meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.epoch import take_next


def test_each_router_takes_the_next(tmp_path: Path) -> None:
    path = tmp_path / "run" / "router.epoch"
    assert [take_next(path) for _ in range(12)] == list(range(1, 13))


def test_no_two_take_the_same(tmp_path: Path) -> None:
    path = tmp_path / "router.epoch"
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take_next(path), range(200)))
    assert sorted(taken) == list(range(1, 201))


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "router.epoch"
    path.write_text("seven")
    with pytest.raises(ValueError, match=r"router\.epoch holds no epoch: remove it"):
        take_next(path)
    assert path.read_text() == "seven"
