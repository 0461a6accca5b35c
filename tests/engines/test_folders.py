"""Folders of engines whose process was killed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.deployments import folders

MAKER = "from cluster.deployments import folders\nprint(folders.new(200), flush=True)\ninput()"


def test_the_folder_of_a_killed_process_goes_with_its_shared_memory(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "shm"
    memory.mkdir()
    monkeypatch.setattr(folders, "_SHARED_MEMORY", memory)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", MAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=repository,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as maker:
        assert maker.stdout is not None
        theirs = Path(maker.stdout.readline().strip())
        (theirs / "vllm_dist_7").touch()
        (memory / "vllm_dist_7_rank0").touch()
        (memory / "vllm_dist_8_rank0").touch()
        mine = folders.new(200)
        assert theirs.is_dir(), "it is held"
        assert stat.S_IMODE(mine.stat().st_mode) == 0o700
        maker.kill()
    another = folders.new(200)
    assert not theirs.exists()
    assert [path.name for path in memory.iterdir()] == ["vllm_dist_8_rank0"]
    assert mine.is_dir()
    for folder in (mine, another, mine):
        folders.remove(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shm"]


def test_a_path_that_is_too_long_for_a_socket_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = folders.new(len(str(tmp_path)))
    assert folder.parent == Path("/tmp")
    folders.remove(folder)
