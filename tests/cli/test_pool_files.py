"""What a pool keeps on disk: private, short enough for sockets, readable or counted as absent."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.pool.lock import LockBusy, pool_lock
from cluster.pool.paths import MAX_SOCKET_PATH_BYTES, RAY_SOCKET, PoolPaths
from cluster.pool.ray_head import make_token, ray_environment
from cluster.pool.state import PoolState, Stage, read_state, write_state

STATE = PoolState(1234, 1000.5, 1001.5, Stage.RUNNING, 8420, 8421, "127.0.0.1:6379")


def test_state_is_read_as_written_and_private(tmp_path: Path) -> None:
    file = tmp_path / "pool.json"
    write_state(file, STATE)
    assert read_state(file) == STATE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "running"}', '{"stage": "dancing", "pid": 1}'])
def test_a_damaged_state_is_no_state(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pool.json"
    file.write_text(text)
    assert read_state(file) is None


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[PoolPaths]:
    made = PoolPaths(tmp_path)
    made.make()
    yield made
    made.clear_ray()


def test_the_token_is_new_each_time_and_private(paths: PoolPaths) -> None:
    make_token(paths)
    first = paths.token.read_text()
    make_token(paths)
    assert paths.token.read_text() != first
    assert len(first) == 64
    assert stat.S_IMODE(paths.token.stat().st_mode) == 0o600


def test_the_environment_of_another_cluster_is_shed(tmp_path: Path) -> None:
    inherited = {
        "RAY_ADDRESS": "10.0.0.1:6379",
        "RAY_AUTH_TOKEN": "theirs",
        "PATH": "/bin",
        "RAY_AUTH_MODE": "disabled",
    }
    environment = ray_environment(PoolPaths(tmp_path), inherited)
    assert not {"RAY_ADDRESS", "RAY_AUTH_TOKEN"} & environment.keys()
    assert (environment["PATH"], environment["RAY_AUTH_MODE"]) == ("/bin", "token")
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "run/ray_token")


def test_sockets_fit_below_any_home() -> None:
    for home in (Path("/home/a/.hearth"), Path("/home") / ("long" * 30) / ".hearth"):
        assert len(f"{PoolPaths(home).ray}{RAY_SOCKET}") <= MAX_SOCKET_PATH_BYTES
    assert PoolPaths(Path("/home/a/.hearth")).ray == Path("/home/a/.hearth/run/ray")


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    paths = PoolPaths(tmp_path / ("long" * 30))
    paths.door.mkdir(mode=0o755)
    try:
        with pytest.raises(PermissionError, match="remove it"):
            paths.make()
    finally:
        paths.door.rmdir()


@pytest.mark.parametrize("folder", ["short", "long" * 30])
def test_a_folder_that_ray_opens_to_everyone_is_behind_one_that_is_ours(tmp_path: Path, folder: str) -> None:
    paths = PoolPaths(tmp_path / folder)
    paths.make()
    paths.ray.chmod(0o777)
    assert stat.S_IMODE(paths.ray.parent.stat().st_mode) == 0o700
    paths.clear_ray()
    assert not paths.ray.exists()
    assert [left for left in Path("/tmp").glob("hearth-*") if paths.pool_id in left.name] == []


def test_homes_have_different_pools(tmp_path: Path) -> None:
    assert PoolPaths(tmp_path / "a").pool_id != PoolPaths(tmp_path / "b").pool_id


def test_one_command_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "run/lock"
    with pool_lock(lock, 1.0), pytest.raises(LockBusy, match="at work on this pool"), pool_lock(lock, 0.0):
        pass
    with pool_lock(lock, 0.0):
        pass
