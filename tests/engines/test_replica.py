"""A replica in a real Ray Serve."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from cluster.deployments.loopback import bind_to_loopback
from cluster.pool.paths import PoolPaths
from cluster.pool.ray_head import ray_environment


def test_a_replica_lives_and_dies_in_ray_serve(tmp_path: Path, repository: Path) -> None:
    environment = ray_environment(PoolPaths(tmp_path), os.environ)
    run = subprocess.run(
        [sys.executable, "-m", "tests.engines.pool_of_one", str(tmp_path)],
        env=environment,
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    seen = json.loads(run.stdout.splitlines()[-1])
    assert seen["endpoint"].startswith("http://127.0.0.1:")
    assert seen["text"] == "hello"
    # Nothing of Ray, Serve, its replica or the front listens beyond this machine.
    addresses = {address.removeprefix("::ffff:") for address in seen["addresses"]}
    assert addresses <= {"127.0.0.1", "::1"}
    # A router that comes later finds the same boot, and the session that it left there.
    assert seen["same_boot"]
    assert seen["resident"] == [len("hello") * 2 + 3]
    assert seen["last"] == "ReplicaGone"


def test_a_ray_that_was_not_tried_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "__version__", "9.9.9")
    with pytest.raises(RuntimeError, match=r"Ray 9\.9\.9 .* Install the version that Hearth pins"):
        bind_to_loopback()
