"""The life of a replica over several boots of its engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import aiohttp
import psutil
import pytest

from cluster.core.commands import Drain
from cluster.core.events import LoadFailed, ReplicaDraining, ReplicaGone, ReplicaReady
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.boots import BACKSTOP_S, Boots
from cluster.deployments.engine import EngineFacts, Loading
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.deployments.ground import LayoutGround
from cluster.deployments.restarts import ENGINE, UPSTREAM, RestartPlan, Restarts
from cluster.deployments.spec import ReplicaSpec, make_engine
from tests.support.fronts import QUICK, FrontClient, ask
from tests.support.pace import Pace
from tests.support.routers import ListeningRouter


class Life:
    """A replica whose engines the test may kill; waits between its boots are `waits`, and last nothing."""

    def __init__(
        self,
        settings: list[FakeSettings],
        plan: RestartPlan = ENGINE,
        pace: Pace | None = None,
        ground: LayoutGround | None = None,
    ) -> None:
        self.router, self.engines, self.waits = ListeningRouter(), list[FakeEngine](), list[float]()
        self._ground = ground
        self._settings, self._engine_sleep = settings, pace.sleep if pace else asyncio.sleep
        self.boots = Boots(
            DeploymentId("d"),
            NodeId("n"),
            "127.0.0.1",
            self._make,
            self.router,
            plan,
            QUICK,
            now=lambda: 0.0,
            sleep=self._sleep,
            ground=ground,
        )

    def _make(self) -> FakeEngine:
        settings = self._settings.pop(0) if len(self._settings) > 1 else self._settings[0]
        hosts = self._ground.hosts if self._ground is not None else ()
        self.engines.append(FakeEngine(settings, self._engine_sleep, hosts))
        return self.engines[-1]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.001)


@asynccontextmanager
async def living(life: Life) -> AsyncGenerator[Life]:
    running = asyncio.create_task(life.boots.run())
    try:
        yield life
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_crashed_engine_is_started_again_behind_a_new_front() -> None:
    async with living(Life([FakeSettings()])) as life:
        first = await life.router.hear(ReplicaReady)
        life.engines[0].die("segmentation fault")
        assert (await life.router.hear(ReplicaGone)).reason == "segmentation fault"
        second = await life.router.hear(ReplicaReady, lambda event: event.boot != first.boot)
        assert (first.replica, first.boot) != (second.replica, second.boot)
        assert first.replica == second.replica
        assert life.router.secrets[0] != life.router.secrets[-1]
        assert life.waits == [0.5]
        async with aiohttp.ClientSession() as http:
            front = life.boots.front
            assert front is not None
            client = FrontClient(front, life.router, life.engines[1], http, second.boot)
            assert await client.turn(ask("hello"))
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(first.endpoint + "/health")


async def test_an_engine_that_cannot_start_is_given_up_with_its_reason() -> None:
    async with living(Life([FakeSettings(fail_start="The file is not a GGUF.")])) as life:
        withdrawn = await life.router.hear(LoadFailed)
        assert withdrawn.reason == "The file is not a GGUF. Take `fail_start` out of its settings."
        assert life.boots.failure == withdrawn.reason
        assert len(life.engines) == 1
        # A router that comes later hears it too.
        await life.router.hear(LoadFailed, num=3)


async def test_an_engine_that_keeps_crashing_is_given_up_after_waits_that_double() -> None:
    settings = [FakeSettings(), FakeSettings(fail_start="Out of memory.")]
    async with living(Life(settings)) as life:
        await life.router.hear(ReplicaReady)
        life.engines[0].die("killed")
        await life.router.hear(LoadFailed)
        assert life.waits[:4] == [0.5, 1.0, 2.0, 4.0]
        assert len(life.engines) == 5


async def test_an_engine_that_answers_between_its_crashes_is_never_given_up() -> None:
    async with living(Life([FakeSettings()])) as life, aiohttp.ClientSession() as http:
        for number in range(2 * ENGINE.num_starts):
            ready = await life.router.hear(ReplicaReady, num=number + 1)
            front, engine = life.boots.front, life.engines[number]
            assert front is not None
            assert await FrontClient(front, life.router, engine, http, ready.boot).turn(ask("hello"))
            engine.die("killed")
        await life.router.hear(ReplicaReady, num=2 * ENGINE.num_starts + 1)
        assert life.router.told(LoadFailed) == []
        assert set(life.waits) == {0.5}


async def test_an_upstream_that_is_away_is_asked_again_for_ever() -> None:
    settings = [*[FakeSettings(fail_start="Nobody answers.")] * 20, FakeSettings()]
    async with living(Life(settings, UPSTREAM)) as life:
        await life.router.hear(ReplicaReady)
        assert life.waits[-1] == 30.0
        assert life.router.told(LoadFailed) == []


async def test_a_drained_replica_stops_its_engine_and_stays_away() -> None:
    async with living(Life([FakeSettings()])) as life:
        ready = await life.router.hear(ReplicaReady)
        async with aiohttp.ClientSession() as http:
            front = life.boots.front
            assert front is not None
            client = FrontClient(front, life.router, life.engines[0], http, ready.boot)
            await client.command(Drain(ready.replica, ready.boot, Cause("test")))
            await life.router.hear(ReplicaDraining)
            assert (await life.router.hear(ReplicaGone)).reason == "drained"
        await life.engines[0].died()
        assert len(life.engines) == 1


async def test_people_see_how_far_a_start_has_come() -> None:
    pace = Pace()
    async with living(Life([FakeSettings(start_s=3)], pace=pace)) as life:
        status = await life.router.hear_loading()
        assert (status.deployment, status.replica) == ("d", life.boots.replica)
        assert (status.stage, status.fraction) == ("loading", 0.0)
        pace.free()
        await life.router.hear(ReplicaReady)


async def test_a_start_that_hangs_is_given_up_with_the_last_lines_of_its_gang() -> None:
    layout = Layout(EngineKind.FAKE, "fake", (Shard(NodeId("n"), 1, num_ranks=2),), 1, 1)
    ground, router = LayoutGround(layout, "127.0.0.1"), ListeningRouter()
    settings, clock_s = FakeSettings(hang_start=True), [0.0]
    boots = Boots(
        DeploymentId("d"),
        NodeId("n"),
        "127.0.0.1",
        lambda: FakeEngine(settings, hosts=ground.hosts),
        router,
        ENGINE,
        now=lambda: clock_s[0],
        ground=ground,
        load_timeout_s=0.1 - BACKSTOP_S,
    )
    running = asyncio.create_task(boots.run())
    await router.hear_loading()
    async with asyncio.timeout(20):
        while "lives" not in await ground.tail():  # noqa: ASYNC110 - a process's lines tell nobody
            await asyncio.sleep(0.01)
    clock_s[0] = 1.0
    failed = await router.hear(LoadFailed)
    assert "got no further" in failed.reason
    assert "it was at: loading" in failed.reason
    assert "fake rank 1 of 2 lives" in failed.reason
    assert _children("fake_rank") == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Broken(FakeEngine):
    """Cannot start, for a reason that is no EngineFault."""

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        raise KeyError("vocab")


class Slow(FakeEngine):
    """Stops when it `may_stop`."""

    def __init__(self) -> None:
        super().__init__()
        self.stops, self.may_stop, self.is_stopped = asyncio.Event(), asyncio.Event(), False

    async def stop(self) -> None:
        self.stops.set()
        await self.may_stop.wait()
        await super().stop()
        self.is_stopped = True


def _boots_of(engine: FakeEngine, router: ListeningRouter) -> Boots:
    return Boots(DeploymentId("d"), NodeId("n"), "127.0.0.1", lambda: engine, router, ENGINE, QUICK)


async def test_a_fault_that_nobody_foresaw_is_given_up_with_its_words() -> None:
    router = ListeningRouter()
    running = asyncio.create_task(_boots_of(Broken(), router).run())
    failed = await router.hear(LoadFailed)
    assert failed.reason == "It failed with KeyError: 'vocab'. See the log of n."
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_replica_that_is_ended_while_its_engine_stops_waits_for_that() -> None:
    router, engine = ListeningRouter(), Slow()
    running = asyncio.create_task(_boots_of(engine, router).run())
    await router.hear(ReplicaReady)
    engine.die("killed")
    async with asyncio.timeout(10):
        await engine.stops.wait()
        running.cancel()
        await asyncio.sleep(0)
        engine.may_stop.set()
        await asyncio.gather(running, return_exceptions=True)
    assert engine.is_stopped


async def test_a_gang_that_loses_a_rank_is_stopped_whole_and_started_again() -> None:
    layout = Layout(EngineKind.FAKE, "fake", (Shard(NodeId("n"), 1, num_ranks=2),), 1, 1)
    ground = LayoutGround(layout, "127.0.0.1")
    life = Life([FakeSettings()], ground=ground)
    async with living(life) as life:
        first = await life.router.hear(ReplicaReady)
        before = _children("fake_rank")
        assert len(before) == 2
        before[1].kill()
        reason = (await life.router.hear(ReplicaGone)).reason
        assert reason.startswith("rank 1 of 2 was ended by signal 9.")
        await life.router.hear(ReplicaReady, lambda event: event.boot != first.boot)
        assert len(_children("fake_rank")) == 2
        assert not any(process.is_running() for process in before)
    assert _children("fake_rank") == []


def _children(module: str) -> list[psutil.Process]:
    found = psutil.Process().children()
    return [child for child in found if any(module in word for word in child.cmdline())]


def test_old_failures_are_forgotten() -> None:
    restarts = Restarts(RestartPlan(num_starts=2, window_s=10))
    assert restarts.failed(0.0) == 0.5
    assert restarts.failed(11.0) == 0.5
    assert restarts.failed(12.0) is None


async def test_a_spec_names_the_wrong_setting() -> None:
    spec = ReplicaSpec(deployment="d", node="n", engine="fake", settings={"num_slots": 0})
    with pytest.raises(ValueError, match="num_slots"):
        make_engine(spec)
