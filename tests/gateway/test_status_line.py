"""No status line is held back longer than `commit_s`, whatever the turn waits for by then."""

import asyncio
from dataclasses import replace

import pytest

from cluster.deployments.engine import Prompt
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.gateway.turns import TurnLimits
from cluster.gateway.waiting import WaitTimes
from cluster.wire import TurnRequest
from tests.gateway.home import SETTINGS, home
from tests.gateway.streams import Said, streaming

QUICK = replace(SETTINGS, turns=TurnLimits(keepalive_s=0.05, wait=WaitTimes(commit_s=0.1)))
LIMIT_S = 3.0
"""Less than the router takes to commit."""


class SlowToPrepare(FakeEngine):
    """Renders and counts a prompt once `go` is set."""

    def __init__(self) -> None:
        super().__init__(FakeSettings(answer="right", kv_tokens=2000, window_tokens=2000))
        self.go = asyncio.Event()

    async def prepare(self, request: TurnRequest) -> Prompt:
        await self.go.wait()
        return await super().prepare(request)


@pytest.mark.parametrize(
    ("max_tokens", "num_measures"), [(20, 0), (1200, 1)], ids=["a front that is slow", "a measure"]
)
async def test_a_client_has_its_200_in_time(max_tokens: int, num_measures: int) -> None:
    engine = SlowToPrepare()
    async with home(engine, settings=QUICK) as pool, asyncio.timeout(LIMIT_S):
        asked = streaming(pool, "x" * 400, max_tokens=max_tokens)
        async with asked as (answer, chunks):
            assert (answer.status, answer.headers["x-hearth-node"]) == (200, "pending")
            await anext(chunks)
            engine.go.set()
            said = Said([chunk async for chunk in chunks])
        assert pool.replicas[0].front.counters.num_measures == num_measures
    assert said.content == "right"
