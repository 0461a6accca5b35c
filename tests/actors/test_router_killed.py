"""The router dies while it is busy: what runs goes on, what is new waits, nothing is booked twice."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.actors.conftest import SLOW
from tests.actors.pool import Front, Pool, soon

pytestmark = pytest.mark.timeout(150)


async def told(
    client: AsyncOpenAI, session: str, max_tokens: int | None = None, begun: asyncio.Event | None = None
) -> str:
    """The whole answer of a streamed turn."""
    stream = await client.chat.completions.create(
        model="slow",
        messages=[{"role": "user", "content": f"Tell, {session}"}],
        max_tokens=max_tokens,
        stream=True,
        extra_body={"prompt_cache_key": session},
    )
    text, reason = "", None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        if text and begun is not None:
            begun.set()
    assert reason == ("stop" if max_tokens is None else "length")
    return text


class Watch:
    """Looks at a front's book and at the view, again and again, while a test runs."""

    def __init__(self, pool: Pool, front: Front) -> None:
        self._pool, self._front = pool, front
        self.num_looks = 0

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(0.1)

    def _look(self) -> None:
        book = self._front.book()
        assert book["free_tokens"] >= 0
        assert book["num_leases"] + book["num_resident"] <= SLOW["num_slots"]
        assert book["reserved_tokens"] + book["resident_tokens"] <= SLOW["kv_tokens"]
        for replica in self._views():
            assert replica["reserved_tokens"] + replica["resident_tokens"] <= SLOW["kv_tokens"]
        self.num_looks += 1

    def _views(self) -> list[dict[str, Any]]:
        answer = self._pool.http.get("/api/view")
        return answer.json()["replicas"] if answer.status_code == 200 else []


async def test_streams_go_on_and_nothing_is_booked_twice(pool: Pool) -> None:
    watch = Watch(pool, pool.front("slow"))
    async with pool.openai() as client, asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run())
        begun = [asyncio.Event() for _ in range(SLOW["num_slots"])]
        running = [
            group.create_task(told(client, f"running-{number}", begun=event))
            for number, event in enumerate(begun)
        ]
        await asyncio.gather(*(event.wait() for event in begun))
        epoch = (await asyncio.to_thread(pool.view))["epoch"]
        pool.kill("ray::RouterActor")
        new = [group.create_task(told(client, f"new-{number}", max_tokens=8)) for number in range(2)]
        view = await soon(lambda: _view_of(pool, epoch + 1))
        assert view["epoch"] == epoch + 1
        leases = await soon(lambda: [one for one in pool.replicas("slow") if one["num_leases"]])
        assert not any(task.done() for task in running), "a stream ended before the router was back"
        assert leases[0]["num_leases"] == SLOW["num_slots"]
        assert [await task for task in running] == [SLOW["answer"]] * len(running)
        assert [await task for task in new] == [SLOW["answer"][:8]] * len(new)
        watching.cancel()
    assert watch.num_looks > 20
    counters = pool.view()["counters"]
    assert counters["num_grants_refused"] == 0
    assert counters["num_turns_rejected"] == 0


def _view_of(pool: Pool, epoch: int) -> dict[str, Any] | None:
    answer = pool.http.get("/api/view")
    view = answer.json() if answer.status_code == 200 else {"epoch": 0}
    return view if view["epoch"] >= epoch else None
