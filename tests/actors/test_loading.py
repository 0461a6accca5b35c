"""Models come and go over a real Serve: by a turn, by a person, and whoever dies in between."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.actors.pool import ENGINE, Pool, soon, until

pytestmark = pytest.mark.timeout(150)
LOADER = "ray::LoaderActor"


async def say(client: AsyncOpenAI, model: str, max_tokens: int = 8) -> str:
    completion = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=max_tokens, temperature=0
    )
    return completion.choices[0].message.content or ""


def in_state(pool: Pool, model: str, state: str) -> bool:
    answer = pool.http.get("/api/view")
    if answer.status_code != 200:
        return False
    return any(one["model"] == model and one["state"] == state for one in answer.json()["models"])


def unload(pool: Pool, model: str) -> None:
    pool.http.post(f"/api/models/{model}/unload").raise_for_status()
    until(lambda: in_state(pool, model, "unloaded"))


async def test_unloading_frees_the_memory_and_a_turn_loads_it_again(pool: Pool) -> None:
    engine, held = pool.process(ENGINE), pool.model("tiny")["memory_bytes"]
    async with pool.openai() as client:
        before = await say(client, "tiny")
        await asyncio.to_thread(unload, pool, "tiny")
        assert pool.processes(ENGINE) == []
        assert pool.processes("ServeReplica:tiny:") == []
        assert pool.model("tiny")["memory_bytes"] == 0
        assert await say(client, "tiny") == before
    assert pool.model("tiny")["memory_bytes"] == held > 0
    assert pool.process(ENGINE).pid != engine.pid


async def test_a_killed_loader_knows_what_it_had_loaded(pool: Pool) -> None:
    slow, loads = pool.replicas("slow")[0], pool.view()["counters"]["num_loads"]
    pool.kill(LOADER)
    await asyncio.to_thread(unload, pool, "tiny")
    async with pool.openai() as client:
        assert await say(client, "tiny")
    view = pool.view()
    assert view["counters"]["num_loads"] == loads + 1
    assert pool.replicas("slow")[0]["replica"] == slow["replica"], "what ran went on"


async def test_a_killed_router_adopts_what_is_loaded(pool: Pool) -> None:
    replicas = {one["replica"] for one in pool.view()["replicas"]}
    epoch = pool.view()["epoch"]
    pool.kill("ray::RouterActor")
    view = await soon(lambda: _ready(pool, epoch + 1, replicas))
    assert view["counters"]["num_loads"] == 0
    await asyncio.to_thread(unload, pool, "tiny")
    async with pool.openai() as client:
        assert await say(client, "tiny")


def _ready(pool: Pool, epoch: int, replicas: set[str]) -> dict[str, Any] | None:
    answer = pool.http.get("/api/view")
    if answer.status_code != 200:
        return None
    view = answer.json()
    states = {model["model"]: model["state"] for model in view["models"]}
    is_adopted = {one["replica"] for one in view["replicas"]} == replicas
    is_ready = states["tiny"] == states["slow"] == "ready"
    return view if view["epoch"] >= epoch and is_adopted and is_ready else None
