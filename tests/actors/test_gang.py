"""One gang lives or dies together."""

import asyncio
import os
import signal

import psutil
import pytest
from openai import AsyncOpenAI

from tests.actors.pool import Pool, soon

pytestmark = pytest.mark.timeout(150)
RANK = "cluster.deployments.fake_rank"
REPLICA = "ServeReplica:gang:"
ANSWER = "one two three"


def ranks(pool: Pool) -> dict[int, psutil.Process]:
    return {int(process.cmdline()[-2]): process for process in pool.processes(RANK)}


async def told(client: AsyncOpenAI) -> str:
    completion = await client.chat.completions.create(
        model="gang", messages=[{"role": "user", "content": "Count"}], temperature=0
    )
    return completion.choices[0].message.content or ""


@pytest.mark.parametrize("victim", ["rank 0", "rank 1", "replica"])
async def test_any_process_killed_takes_all_along_and_all_come_back(pool: Pool, victim: str) -> None:
    before = await soon(lambda: ranks(pool) or None)
    assert before.keys() == {0, 1}
    replica = pool.process(REPLICA)
    async with pool.openai() as client:
        assert await told(client) == ANSWER
        os.kill(replica.pid if victim == "replica" else before[int(victim[-1])].pid, signal.SIGKILL)
        await soon(lambda: not any(_runs(rank) for rank in before.values()), timeout_s=2.0)
        assert await told(client) == ANSWER
    after = await asyncio.to_thread(ranks, pool)
    assert after.keys() == {0, 1}
    assert {rank.pid for rank in after.values()}.isdisjoint(rank.pid for rank in before.values())
    assert len(pool.processes(REPLICA)) == 1
    await soon(lambda: len(pool.replicas("gang")) == 1)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
