"""The loader carries out what the router wants, tells it what is there, and is not lost with a process."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster.core.commands import Load, Unload
from cluster.core.events import LoaderReport, LoadFailed, NodeGone
from cluster.core.facts import LoadedView
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.loader.apps import App, Stage
from cluster.loader.book import Book
from cluster.loader.loader import Loader, Pace
from tests.support.routers import ListeningRouter

CAUSE = Cause("test")
QUICK = Pace(report_s=0.05, busy_s=0.01, idle_s=0.05, pending_s=0.3)


def deployment(name: str) -> DeploymentId:
    return DeploymentId(name)


def layout(*nodes: str) -> Layout:
    shards = tuple(Shard(NodeId(node), 2**30) for node in nodes or ("n",))
    return Layout(EngineKind.FAKE, "fake", shards, 4096, 4096)


def load(name: str, *nodes: str) -> Load:
    return Load(deployment(name), layout(*nodes), CAUSE)


def unload(name: str) -> Unload:
    return Unload(deployment(name), CAUSE)


@dataclass
class AppsOfATest:
    """Applications that start and end when the test says so.  `refused`: what `start` raises.  `may_start`:
    the calls of `start` wait for it.  `log`: what was asked, in order."""

    there: dict[DeploymentId, App] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    refused: str = ""
    slow_end: bool = False
    is_away: bool = False
    may_start: threading.Event = field(default_factory=threading.Event)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.may_start.set()

    def start(self, deployment: DeploymentId, layout: Layout) -> None:
        assert self.may_start.wait(5)
        self.log.append(f"start {deployment}")
        if self.refused:
            raise ValueError(self.refused)
        with self.news:
            self.there[deployment] = App(Stage.RUNNING)
            self.news.notify_all()

    def end(self, deployment: DeploymentId) -> None:
        self.log.append(f"end {deployment}")
        with self.news:
            if self.slow_end and deployment in self.there:
                self.there[deployment] = App(Stage.ENDING)
            else:
                self.there.pop(deployment, None)
            self.news.notify_all()

    async def running(self, *names: str) -> None:
        """Waits until exactly these are there."""

        def wait() -> bool:
            with self.news:
                return self.news.wait_for(lambda: set(self.there) == set(names), 5)

        assert await asyncio.to_thread(wait)

    def listed(self) -> Mapping[DeploymentId, App]:
        if self.is_away:
            raise ConnectionError("Serve starts anew")
        return dict(self.there)


@dataclass
class Home:
    loader: Loader
    apps: AppsOfATest
    router: ListeningRouter

    async def command(self, *commands: Load | Unload, epoch: int = 1) -> None:
        await self.router.hear(LoaderReport)  # it knows what runs
        await self.loader.carry_out(epoch, commands)

    async def reported(self, *views: LoadedView) -> None:
        """Waits for a report, made from now on, that has exactly these."""
        num = sum(report.deployments == views for report in self.router.told(LoaderReport))
        await self.router.hear(LoaderReport, lambda report: report.deployments == views, num + 1)


@asynccontextmanager
async def running(
    folder: Path, apps: AppsOfATest | None = None, router: ListeningRouter | None = None
) -> AsyncGenerator[Home]:
    apps, router = apps or AppsOfATest(), router or ListeningRouter()
    loader = Loader(apps, Book(folder / "run" / "loaded"), router, QUICK)
    task = asyncio.create_task(loader.run())
    try:
        yield Home(loader, apps, router)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await loader.close()


def view(name: str, *nodes: str, ending: bool = False) -> LoadedView:
    return LoadedView(deployment(name), layout(*nodes), ending)


async def test_what_is_loaded_is_reported_until_it_is_really_gone(tmp_path: Path) -> None:
    async with running(tmp_path, AppsOfATest(slow_end=True)) as home:
        await home.reported()
        await home.command(load("a"), load("b"))
        await home.reported(view("a"), view("b"))
        await home.apps.running("a", "b")
        await home.command(unload("a"))
        await home.reported(view("a", ending=True), view("b"))
        del home.apps.there[deployment("a")]
        await home.reported(view("b"))


async def test_commands_said_again_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as home:
        await home.command(load("a"), load("a"), unload("b"))
        await home.command(load("a", "other"))
        await home.reported(view("a"))
        await home.command(unload("a"), unload("a"))
        await home.reported()
        assert home.apps.log == ["start a", "end a"]


async def test_one_deployment_in_order_and_others_meanwhile(tmp_path: Path) -> None:
    apps = AppsOfATest()
    apps.may_start.clear()
    async with running(tmp_path, apps) as home:
        await home.command(load("a"), unload("a"))
        await home.reported(view("a", ending=True))
        apps.may_start.set()
        await home.reported()
        assert apps.log == ["start a", "end a"]


async def test_words_of_an_earlier_router_are_dropped(tmp_path: Path) -> None:
    async with running(tmp_path, router=ListeningRouter(epoch=3)) as home:
        await home.command(load("a"), epoch=3)
        await home.command(unload("a"), load("b"), epoch=2)
        await home.reported(view("a"))
        await home.apps.running("a")
        assert home.apps.log == ["start a"]


async def test_a_new_router_gets_to_know_the_loader_and_what_it_has(tmp_path: Path) -> None:
    async with running(tmp_path) as home:
        await home.command(load("a"))
        await home.reported(view("a"))
        home.router.is_away, home.router.loader = True, None
        await asyncio.sleep(0.1)
        home.router.epoch, home.router.is_away = 2, False
        await home.reported(view("a"))
        assert home.router.loader is home.loader
        home.router.epoch, home.router.loader = 3, None  # it was away for so short that no call failed
        await home.reported(view("a"))
        await home.reported(view("a"))
        assert home.router.loader is home.loader


async def test_a_loader_that_was_killed_finds_what_it_had_started(tmp_path: Path) -> None:
    apps = AppsOfATest()
    async with running(tmp_path, apps) as home:
        await home.command(load("a"), load("b"))
        await home.reported(view("a"), view("b"))
        await apps.running("a", "b")
    del apps.there[deployment("b")]
    apps.there[deployment("unknown")] = App(Stage.RUNNING)
    apps.is_away = True
    async with running(tmp_path, apps) as home:
        await asyncio.sleep(0.1)
        assert home.router.told(LoaderReport) == [], "it knows nothing yet"
        await home.loader.carry_out(1, [load("a"), load("c")])
        apps.is_away = False
        await home.reported(view("a"))
        await apps.running("a")
        assert apps.log[-1] == "end unknown"
        assert apps.log.count("start a") == 1
        assert set(Book(tmp_path / "run" / "loaded").read()) >= {deployment("a")}
        await home.command(unload("a"))
        await home.reported()


async def test_what_cannot_be_started_is_failed_with_the_reason_and_ended(tmp_path: Path) -> None:
    async with running(tmp_path, AppsOfATest(refused="no such model.")) as home:
        await home.command(load("a"))
        failed = await home.router.hear(LoadFailed)
        assert (failed.deployment, failed.reason) == ("a", "It could not be started: no such model.")
        await home.reported()
        assert home.apps.log == ["start a", "end a"]


async def test_what_serve_gives_up_or_never_places_is_failed_and_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as home:
        await home.command(load("a"), load("b", "n", "m"))
        await home.reported(view("a"), view("b", "n", "m"))
        await home.apps.running("a", "b")
        home.apps.there[deployment("a")] = App(Stage.FAILED, "the constructor raised.")
        failed = await home.router.hear(LoadFailed)
        assert failed.reason == "Ray Serve could not start it: the constructor raised."
        home.apps.there[deployment("b")] = App(Stage.STARTING, "1 replica waits.")
        failed = await home.router.hear(LoadFailed, num=2)
        assert "no process within 0.3 s" in failed.reason
        assert "1.00 GiB on n, 1.00 GiB on m" in failed.reason
        assert "1 replica waits." in failed.reason
        await home.reported()


async def test_a_lost_node_takes_its_gangs_along(tmp_path: Path) -> None:
    async with running(tmp_path) as home:
        await home.command(load("a", "n", "m"), load("b", "n"))
        await home.reported(view("a", "n", "m"), view("b", "n"))
        await home.loader.node_gone(NodeId("m"))
        assert (await home.router.hear(NodeGone)).node == "m"
        assert (await home.router.hear(LoadFailed)).reason == "The node m is lost."
        await home.reported(view("b", "n"))


async def test_a_failure_is_not_lost_with_the_router(tmp_path: Path) -> None:
    async with running(tmp_path) as home:
        await home.command(load("a"))
        await home.reported(view("a"))
        await home.apps.running("a")
        home.router.is_away = True
        home.apps.there[deployment("a")] = App(Stage.FAILED, "no.")
        await home.apps.running()
        home.router.is_away, home.router.epoch = False, 2
        await home.router.hear(LoadFailed)
