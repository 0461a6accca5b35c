"""What serve_configs/ name runs when Ray deploys it: here on one processor, with a small model."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from actors.app import SERVE_CONFIGS
from cluster.pool.ray_head import ray_environment
from tests.actors.deploy import DEPLOYED
from tests.actors.pool import Pool, until
from tests.support.checkpoints import random_hf

pytestmark = pytest.mark.timeout(150)
GIB = 2**30
SMALL = {"context_tokens": 4096, "window_tokens": 4096}


def adapted(app: dict[str, Any], node: str) -> dict[str, Any]:
    """The application on this node alone; weights of a hub become small ones, with memory to match."""
    model, layout = app["args"]["model"], app["args"]["layout"]
    shards = [{**shard, "node": node} for shard in layout["shards"]]
    if model["source"].startswith("hf:"):
        source = {"source": str(random_hf())}
        shards = [{**shard, "memory_bytes": GIB} for shard in shards]
        model, layout = {**model, **source}, {**layout, **source, **SMALL}
    return {**app, "args": {"model": model, "layout": {**layout, "shards": shards}}}


@contextmanager
def deployed(pool: Pool, config: dict[str, Any]) -> Generator[None]:
    argv = [sys.executable, "-m", "tests.actors.deploy", pool.state.ray_address, json.dumps(config)]
    env = ray_environment(pool.paths, os.environ)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, text=True) as deploying:
        assert deploying.stdout is not None
        assert any(DEPLOYED in line for line in deploying.stdout)
        yield
        deploying.communicate(timeout=60)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("laptop", "hearth-guide"),
        pytest.param("one_mac", "qwen3-32b", marks=pytest.mark.needs_mlx),
        pytest.param("two_macs", "llama-70b", marks=pytest.mark.needs_mlx),
    ],
)
async def test_it_is_deployed_and_answers(pool: Pool, kind: str, name: str) -> None:
    config = yaml.safe_load((SERVE_CONFIGS / f"{kind}.yaml").read_text())
    node = pool.view()["nodes"][0]["node"]
    apps = [adapted(app, node) for app in config["applications"] if app["name"] == name]
    with deployed(pool, {**config, "applications": apps}):
        (replica,) = until(lambda: pool.replicas(name), timeout_s=90.0)
        assert replica["engine"] == apps[0]["args"]["layout"]["engine"]
        async with pool.openai() as client:
            answer = await client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "Hello"}], max_tokens=8
            )
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 8
    until(lambda: not pool.processes(f"ServeReplica:{name}:"))
