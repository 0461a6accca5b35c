"""Gangs of real engines over two hosts, placed by label through Ray, as a client of the pool meets them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from bench.kills.story import read_story
from cluster.config import HearthConfig
from tests.lab.conftest import COMPILED
from tests.lab.conftest import models as folder_of_models
from tests.lab.hosts import Host
from tests.lab.lab import HostWish, Lab
from tests.lab.pool import HEARTH_HOME, LabPool, until
from tests.lab.ray_cluster import RayCluster
from tests.support import checkpoints

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(400)]
MEMORY_BYTES = 3 * 2**30
"""One host holds no two ranks of vLLM, so a gang of them takes both."""

LOAD_S = 240.0
FATE_S = 2.0
NUM_TOKENS = 300
ENGINES = [
    pytest.param("mlx", "cluster.deployments.mlx_server", marks=pytest.mark.needs_mlx),
    pytest.param("vllm", "cluster.deployments.vllm_rank", marks=pytest.mark.needs_vllm),
]


def config() -> HearthConfig:
    common: dict[str, object] = {
        "kv_type": "f32",
        "slots": 4,
        "context_tokens": 8192,
        "load_timeout_s": LOAD_S,
    }
    common |= {"source": str(checkpoints.random_hf()), "tensor_parallel": 2}
    models = [{"name": engine, "engine": engine, **common} for engine in ("mlx", "vllm")]
    return HearthConfig.model_validate({"guide": False, "models": models})


@pytest.fixture(scope="module")
def pool() -> Iterator[LabPool]:
    COMPILED.mkdir(exist_ok=True)
    wishes = [HostWish(name, MEMORY_BYTES) for name in "ab"]
    with (
        Lab(wishes, shared=[folder_of_models(), COMPILED]) as lab,
        RayCluster(lab) as cluster,
        LabPool(cluster, config()) as pool,
    ):
        # Until the second host was there, gangs may have been put on the first one alone.
        for model in pool.config.models:
            unload(pool, model.name)
        yield pool


def unload(pool: LabPool, model: str) -> None:
    pool.ask("POST", f"/api/models/{model}/unload").raise_for_status()
    until(lambda: pool.model(model)["state"] == "unloaded", 60.0)


def running(host: Host, title: str) -> list[int]:
    """The host's processes that have `title` in their command line, and all that they have started."""
    found = []
    for pid in sorted(host.pids()):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            parent = int(status.partition("PPid:\t")[2].split()[0])
            words = words_of(pid)
            if words and (title in words or parent in found):
                found.append(pid)
    return found


def left_over(pool: LabPool, title: str, before: Mapping[str, Collection[str]]) -> list[str]:
    """Processes with `title`, and files that were not there `before`."""
    left = []
    for host in pool.cluster.lab:
        left += [f"{host.name}: {words_of(pid)}" for pid in running(host, title)]
        left += [f"{host.name}: {name}" for name in files(host) - {*before[host.name]}]
    return left


def words_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def files(host: Host) -> set[str]:
    """What engines may leave behind."""
    folders = [host.path("/dev/shm").iterdir(), host.path("/tmp").glob("hearth-*")]
    return {path.name for folder in folders for path in folder}


@pytest.mark.parametrize(("model", "title"), ENGINES)
def test_a_gang_over_two_hosts_is_loaded_killed_back_and_unloaded(
    pool: LabPool, model: str, title: str
) -> None:
    a, b = pool.cluster.lab
    before = {host.name: files(host) for host in (a, b)}
    whole = pool.told(model, NUM_TOKENS, LOAD_S)
    assert set(pool.model(model)["nodes"]) == {"a", "b"}
    gang = [running(host, title) for host in (a, b)]
    assert all(gang)

    killed_s = []

    def kill() -> None:
        killed_s.append(time.monotonic())
        os.kill(gang[1][0], signal.SIGKILL)

    assert pool.told(model, NUM_TOKENS, LOAD_S, on_text=kill) == whole
    home = a.path(HEARTH_HOME)
    story = asyncio.run(read_story(home, model, killed_s[0], num_turns=1, within_s=LOAD_S))
    assert story.gone_s is not None
    assert story.gone_s <= FATE_S
    assert len(story.fates_s) >= 1
    assert story.fates_s[0] <= FATE_S
    after = [running(host, title) for host in (a, b)]
    assert all(after)
    assert not {*gang[0], *gang[1]} & {*after[0], *after[1]}

    unload(pool, model)
    with suppress(AssertionError):
        until(lambda: left_over(pool, title, before) == [])
    assert left_over(pool, title, before) == []
