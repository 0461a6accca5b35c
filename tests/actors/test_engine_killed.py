"""An engine or its whole replica dies: it comes back by itself, and no client has to ask again."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import psutil
import pytest
from openai import AsyncOpenAI

from tests.actors.pool import ENGINE, Pool, soon

pytestmark = pytest.mark.timeout(150)
REPLICA = "ServeReplica:tiny:"


async def told(
    client: AsyncOpenAI, session: str, max_tokens: int, on_text: Callable[[], object] | None = None
) -> str:
    """The whole answer of a streamed turn, always to the same question.  `on_text` is called once."""
    stream = await client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Tell me everything"}],
        max_tokens=max_tokens,
        temperature=0,
        stream=True,
        extra_body={"prompt_cache_key": session},
    )
    text, reason = "", None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        if text and on_text is not None:
            on_text()
            on_text = None
    assert reason == "length"
    return text


@asynccontextmanager
async def watching(look: Callable[[], object]):  # noqa: ANN201
    """Looks again and again; gives the list of what was seen, without repetitions."""
    seen: list[object] = []

    async def run() -> None:
        while True:
            found = await asyncio.to_thread(look)
            if found not in seen[-1:]:
                seen.append(found)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    yield seen
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def test_a_killed_engine_is_back_and_its_answers_go_on(pool: Pool) -> None:
    engine, before = pool.process(ENGINE), pool.view()["counters"]
    async with pool.openai() as client, watching(lambda: pool.model("tiny")["state"]) as states:
        whole = await told(client, "undisturbed", 1200)
        begun = told(client, "begun", 1200, on_text=engine.kill)
        late = asyncio.gather(*(told(client, f"late-{number}", 40) for number in range(4)))
        assert await begun == whole
        assert await late == [whole[: len(short)] for short in await late]
        await soon(lambda: pool.model("tiny")["state"] == "ready")
    assert states == ["ready", "loading", "ready"]
    assert pool.process(ENGINE).pid != engine.pid
    counters = pool.view()["counters"]
    assert counters["num_turns_replaced"] > before["num_turns_replaced"]
    assert counters["num_turns_rejected"] == before["num_turns_rejected"]


async def test_a_killed_replica_is_back_with_one_engine(pool: Pool) -> None:
    engine, replica = pool.process(ENGINE), pool.replicas("tiny")[0]["replica"]
    async with pool.openai() as client, watching(lambda: len(pool.processes(ENGINE))) as engines:
        whole = await told(client, "undisturbed", 400)
        pool.kill(REPLICA)
        assert await told(client, "after", 400) == whole
    assert max(engines) == 1, "two engines were in memory at once"
    assert not psutil.pid_exists(engine.pid)
    await soon(lambda: {one["replica"] for one in pool.replicas("tiny")}.isdisjoint({replica}))
    assert len(pool.replicas("tiny")) == 1
