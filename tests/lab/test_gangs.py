"""A gang over two hosts lives or dies together, whatever of it is lost."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.config import HearthConfig
from cluster.pool.ray_head import NODE_LABEL
from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.pool import LabPool, until
from tests.lab.processes import kill
from tests.lab.ray_cluster import RayCluster

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(240)]
GIB = 2**30
RANK = "cluster.deployments.fake_rank"
CONFIG = HearthConfig.model_validate(
    {
        "guide": False,
        "models": [
            {
                "name": "gang",
                "source": "fake",
                "engine": "fake",
                "tensor_parallel": 2,
                "keep_warm": True,
                "fake": {"answer": "one two three", "memory_bytes": 5 * GIB, "decode_tps": 8},
            },
            {
                "name": "alone",
                "source": "fake",
                "engine": "fake",
                "where": {NODE_LABEL: "b"},
                "fake": {"answer": "here"},
            },
        ],
    }
)
"""Only both hosts together hold the gang's 5 GiB.  It takes 1.6 s to say its 13 tokens."""


@pytest.fixture(scope="module")
def pool(lab: Lab) -> Iterator[LabPool]:
    with RayCluster(lab) as cluster, LabPool(cluster, CONFIG) as pool:
        until(lambda: pool.model("gang")["state"] == "ready", 90.0)
        yield pool


def processes(host: Host, words: str) -> list[int]:
    """The host's processes that have these words in their command line."""
    found = []
    for pid in host.pids():
        with suppress(OSError):
            if words in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append(pid)
    return found


def ranks(pool: LabPool) -> list[int]:
    """The gang's processes, one on each host."""
    return [pid for host in pool.cluster.lab for pid in processes(host, RANK)]


def test_it_runs_where_the_router_put_it_and_answers(pool: LabPool) -> None:
    a, b = pool.cluster.lab
    assert set(pool.model("gang")["nodes"]) == {"a", "b"}
    assert (len(processes(a, RANK)), len(processes(b, RANK))) == (1, 1)
    assert pool.say("gang", max_tokens=100) == "one two three"
    assert sum(node["held_bytes"] for node in pool.view()["nodes"]) >= 5 * GIB


def test_a_front_on_another_node_is_reached_from_the_gateways(pool: LabPool) -> None:
    assert pool.say("alone") == "here"
    assert pool.model("alone")["nodes"] == ["b"]
    assert len(processes(pool.cluster.lab["b"], "ray::ServeReplica:alone")) == 1


@pytest.mark.parametrize("victim", ["rank on a", "rank on b", "host process", "replica"])
def test_any_process_killed_takes_all_along_and_all_come_back(pool: LabPool, victim: str) -> None:
    a, b = pool.cluster.lab
    before = until(lambda: found if len(found := ranks(pool)) == 2 else None)
    words, hosts = {
        "rank on a": (RANK, [a]),
        "rank on b": (RANK, [b]),
        "host process": ("ray::RankActor", [a, b]),
        "replica": ("ray::ServeReplica:gang", [a, b]),
    }[victim]
    (pid,) = [pid for host in hosts for pid in processes(host, words)]
    with ThreadPoolExecutor() as threads:
        begun = threads.submit(pool.say, "gang", "Hello", 100)
        until(lambda: sum(replica["num_leases"] for replica in pool.view()["replicas"]))
        os.kill(pid, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in before), 2.0)
        assert begun.result(60.0) == "one two three", "what had begun goes on"
    after = ranks(pool)
    assert len(after) == 2
    assert not set(after) & set(before)


def test_a_lost_host_is_planned_around_and_used_again_when_it_is_back(pool: LabPool) -> None:
    b = pool.cluster.lab["b"]
    kill(b.pid_of("raylet"))
    until(lambda: pool.model("gang")["state"] != "ready", 10.0)
    pool.cluster.leave(b)
    until(lambda: ranks(pool) == [], 20.0)
    pool.cluster.join(b)
    until(lambda: pool.model("gang")["state"] == "ready", 90.0)
    assert pool.say("gang", max_tokens=100) == "one two three"
    assert len(ranks(pool)) == 2
