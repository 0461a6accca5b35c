"""Ray across two hosts: closed to those without the token, placed by label, awake to what is lost."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.processes import kill
from tests.lab.ray_cluster import RayCluster
from tests.lab.tools import LabError

pytestmark = pytest.mark.needs_root
CONNECT = """
import json, os, time
import ray
ray.init("auto", namespace="lab", log_to_driver=False, logging_level="ERROR")
"""
WHO = (
    CONNECT
    + """
@ray.remote(num_cpus=0)
class Someone:
    def who(self):
        import socket
        return [socket.gethostname(), ray.util.get_node_ip_address(), os.environ["HEARTH_MODELS_BYTES"]]
    def ask(self, other):
        return ray.get(other.who.remote())

a, b = (Someone.options(label_selector={"hearth.node": node}).remote() for node in "ab")
said = [ray.get(each, timeout=60) for each in (a.who.remote(), b.who.remote())]
said += [ray.get(one.ask.remote(other), timeout=60) for one, other in ((a, b), (b, a))]
nodes = {
    node["Labels"]["hearth.node"]: [node["NodeManagerAddress"], node["Resources"]["memory"]]
    for node in ray.nodes()
    if node["Alive"]
}
print(json.dumps({"said": said, "nodes": nodes}))
"""
)
AWAIT_LOSS = (
    CONNECT
    + """
def alive():
    return sorted(node["Labels"]["hearth.node"] for node in ray.nodes() if node["Alive"])
print(json.dumps(alive()), flush=True)
deadline = time.monotonic() + 30
while "b" in alive() and time.monotonic() < deadline:
    time.sleep(0.05)
print(json.dumps(alive()))
"""
)

NUM_NODES = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=30)))
"""


@pytest.fixture(scope="module")
def ray_cluster(lab: Lab) -> Iterator[RayCluster]:
    with RayCluster(lab) as cluster:
        yield cluster


def test_actors_by_label_run_on_their_hosts_and_see_each_other(ray_cluster: RayCluster) -> None:
    a, b = ray_cluster.lab
    seen = json.loads(ray_cluster.python(b, WHO).stdout)
    memory = b.settings.memory_bytes
    on_a, on_b = ["a", a.address, str(memory)], ["b", b.address, str(memory)]
    assert seen["said"] == [on_a, on_b, on_b, on_a]
    assert seen["nodes"] == {"a": [a.address, memory], "b": [b.address, memory]}


def test_without_the_token_nobody_connects(ray_cluster: RayCluster) -> None:
    b = ray_cluster.lab["b"]
    b.path("/tmp/wrong").write_text("0" * 64)
    assert b.run("python", "-c", NUM_NODES, ray_cluster.address, env=ray_cluster.env).stdout == "2\n"
    for wrong in ({"RAY_AUTH_TOKEN_PATH": "/tmp/wrong"}, {"RAY_AUTH_MODE": "disabled"}):
        with pytest.raises(LabError, match="InvalidAuthToken"):
            b.run("python", "-c", NUM_NODES, ray_cluster.address, env={**ray_cluster.env, **wrong})


def test_a_node_that_is_lost_is_noticed_and_joins_again(ray_cluster: RayCluster) -> None:
    a, b = ray_cluster.lab
    watching = subprocess.Popen(
        a.argv("python", "-c", AWAIT_LOSS, env=ray_cluster.driver_env), stdout=subprocess.PIPE
    )
    with watching as driver:
        assert driver.stdout is not None
        lines = (line for line in driver.stdout if line.startswith(b"["))
        assert json.loads(next(lines)) == ["a", "b"]
        kill(b.pid_of("raylet"))
        assert json.loads(next(lines)) == ["a"]
    ray_cluster.leave(b)
    ray_cluster.join(b)
    assert "b" in json.loads(ray_cluster.python(a, WHO).stdout)["nodes"]
