"""The loader: what the router wants loaded becomes applications, and the router hears what is there.

A deployment in its book:

    Load -> STARTING ──────> RUNNING ─┬─ Unload ─> ENDING -> (not in the book)
               └── failed, lost ──────┴─ LoadFailed ──^

A Load of what is in the book, and an Unload of what is not, change nothing: the router says both again
until the report agrees.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from cluster.core.commands import Load, ToLoader
from cluster.core.events import Event, LoaderReport, LoadFailed, NodeGone
from cluster.core.facts import LoadedView
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import Layout
from cluster.loader.apps import App, Apps, Stage
from cluster.loader.book import Book
from cluster.ports import LoaderRouterPort, RouterAway

log = logging.getLogger(__name__)

MAX_PENDING_EVENTS = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.  `report_s`: between two reports.  `busy_s`, `idle_s`: between two looks at the
    applications, while one of them starts or ends, and else.  `pending_s`: how long an application may be
    without a process: Ray itself would wait for ever for memory or a node that it lacks."""

    report_s: float = 1.0
    busy_s: float = 0.2
    idle_s: float = 4.0
    pending_s: float = 90.0


@dataclass(slots=True)
class Held:
    """One deployment of the book.  `asked`: the application was asked for, so it is listed or lost.
    `running_at`: when it last had a process, or was asked for."""

    layout: Layout
    running_at: float
    asked: bool = False
    stage: Stage = Stage.STARTING


class Loader:
    """Implements LoaderPort.  `attach`: makes it known to the router; answers the router's epoch."""

    def __init__(
        self,
        apps: Apps,
        book: Book,
        router: LoaderRouterPort,
        pace: Pace | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apps, self._book, self._router = apps, book, router
        self._pace, self._now = pace or Pace(), now
        self._held: dict[DeploymentId, Held] = {}
        self._work: dict[DeploymentId, asyncio.Task[None]] = {}
        self._pending: deque[Event] = deque(maxlen=MAX_PENDING_EVENTS)
        self._news, self._moves, self._writing = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        self._epoch = 0
        self._attached: int | None = None
        self._is_changed, self._is_recovered = True, False
        self._causes = count(1)

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        # One that does not know yet what runs would start it again, and write a book without the others.
        if epoch < self._epoch or not self._is_recovered:
            return
        self._epoch = epoch
        for command in commands:
            held = self._held.get(command.deployment)
            if isinstance(command, Load) and held is None:
                self._held[command.deployment] = Held(command.layout, self._now())
                self._then(command.deployment, self._start)
            elif not isinstance(command, Load) and held is not None:
                self._end(command.deployment)

    async def node_gone(self, node: NodeId) -> None:
        """A node is lost, and with it whatever had a part there."""
        self._pending.append(NodeGone(node, self._cause()))
        for deployment, held in list(self._held.items()):
            if node in held.layout.nodes and held.stage is not Stage.ENDING:
                self._fail(deployment, f"The node {node} is lost.")
        self._news.set()

    async def run(self) -> None:
        """Looks and reports for ever."""
        await self._recover()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._report())

    async def close(self) -> None:
        """Ends the work in hand; the applications go on."""
        for task in self._work.values():
            task.cancel()
        await asyncio.gather(*self._work.values(), return_exceptions=True)

    async def _recover(self) -> None:
        """Takes up what an earlier loader started and Serve still has."""
        kept = await asyncio.to_thread(self._book.read)
        listed = await self._listed()
        while listed is None:
            await asyncio.sleep(self._pace.busy_s)
            listed = await self._listed()
        for deployment in listed:
            if deployment in kept:
                self._held[deployment] = Held(kept[deployment], self._now(), asked=True)
            else:  # nobody could say which memory it holds
                self._then(deployment, self._let_end)
        self._is_recovered = True

    async def _watch(self) -> None:
        """Looks at the applications: often while one of them moves."""
        while True:
            self._moves.clear()
            await self._look()
            is_busy = any(held.stage is not Stage.RUNNING for held in self._held.values())
            await _either(self._moves, self._pace.busy_s if is_busy else self._pace.idle_s)

    async def _listed(self) -> Mapping[DeploymentId, App] | None:
        try:
            return await asyncio.to_thread(self._apps.listed)
        except Exception as fault:  # noqa: BLE001 - Serve's controller may be starting anew
            log.warning("the applications cannot be listed now: %r", fault)
            return None

    async def _look(self) -> None:
        asked = {deployment for deployment, held in self._held.items() if held.asked}
        if not asked:
            return
        listed = await self._listed()
        if listed is None:
            return
        for deployment in (asked & self._held.keys()) - self._work.keys():
            self._compare(deployment, self._held[deployment], listed.get(deployment))

    def _compare(self, deployment: DeploymentId, held: Held, app: App | None) -> None:
        if app is None:
            self._forget(deployment)
        elif held.stage is Stage.ENDING:
            if app.stage is not Stage.ENDING:
                self._then(deployment, self._let_end)
        elif app.stage is Stage.FAILED:
            self._fail(deployment, f"Ray Serve could not start it: {app.words}")
        elif app.stage is Stage.ENDING:
            held.stage = Stage.ENDING  # somebody else has ended it
        else:
            self._see_running(deployment, held, app)

    def _see_running(self, deployment: DeploymentId, held: Held, app: App) -> None:
        held.stage = app.stage
        if app.stage is Stage.RUNNING:
            held.running_at = self._now()
        elif self._now() - held.running_at > self._pace.pending_s:
            self._fail(deployment, _no_process(held.layout, self._pace.pending_s, app.words))

    def _fail(self, deployment: DeploymentId, reason: str) -> None:
        log.warning("%s: %s", deployment, reason)
        self._pending.append(LoadFailed(deployment, reason, self._cause()))
        self._end(deployment)

    def _end(self, deployment: DeploymentId) -> None:
        held = self._held[deployment]
        if held.stage is not Stage.ENDING:
            held.stage = Stage.ENDING
            self._then(deployment, self._let_end)

    def _forget(self, deployment: DeploymentId) -> None:
        del self._held[deployment]
        self._then(deployment, self._write)

    def _then(self, deployment: DeploymentId, work: Callable[[DeploymentId], Awaitable[None]]) -> None:
        """One thing at a time for each deployment, in order."""
        earlier = self._work.get(deployment)

        async def run() -> None:
            if earlier is not None:
                await asyncio.wait([earlier])
            await work(deployment)
            self._moves.set()

        task = self._work[deployment] = asyncio.create_task(run())
        task.add_done_callback(lambda done: self._worked(deployment, done))
        self._is_changed = True
        self._news.set()

    def _worked(self, deployment: DeploymentId, task: asyncio.Task[None]) -> None:
        if self._work.get(deployment) is task:
            del self._work[deployment]
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("%s: %r", deployment, fault)

    async def _start(self, deployment: DeploymentId) -> None:
        try:
            await self._write(deployment)
            await asyncio.to_thread(self._apps.start, deployment, self._held[deployment].layout)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the router has to hear of it
            if deployment in self._held:
                self._fail(deployment, f"It could not be started: {fault}")
        finally:
            if deployment in self._held:
                self._held[deployment].asked = True

    async def _let_end(self, deployment: DeploymentId) -> None:
        try:
            await asyncio.to_thread(self._apps.end, deployment)
        except Exception as fault:  # noqa: BLE001 - the next look asks again
            log.warning("%s could not be ended yet: %r", deployment, fault)

    async def _write(self, _: DeploymentId) -> None:
        async with self._writing:
            layouts = {deployment: held.layout for deployment, held in self._held.items()}
            await asyncio.to_thread(self._book.write, layouts)

    async def _report(self) -> None:
        """Says what is there once a second, and at once what has changed."""
        while True:
            self._news.clear()
            is_told = await self._tell()
            if not self._is_changed or not is_told:
                await _either(self._news, self._pace.report_s if is_told else self._pace.busy_s)

    async def _tell(self) -> bool:
        """False: a router that is away has to hear it later, a new one once it knows the loader."""
        saying, self._is_changed = list(self._pending), False
        try:
            if self._attached is None:
                self._attached = await self._router.attach_loader(self)
            epoch = await self._router.post([*saying, self._whole()])
        except RouterAway:
            self._attached = None
            return False
        for _ in saying:
            self._pending.popleft()
        if epoch != self._attached:
            self._attached = None
        return self._attached is not None

    def _whole(self) -> LoaderReport:
        views = (
            LoadedView(deployment, held.layout, held.stage is Stage.ENDING)
            for deployment, held in sorted(self._held.items())
        )
        return LoaderReport(tuple(views), self._cause())

    def _cause(self) -> Cause:
        return Cause(f"loader:{next(self._causes)}")


def _no_process(layout: Layout, waited_s: float, words: str) -> str:
    parts = ", ".join(f"{shard.memory_bytes / 2**30:.2f} GiB on {shard.node}" for shard in layout.shards)
    said = f" Ray Serve says: {words}" if words else ""
    return f"Ray gave it no process within {waited_s:g} s (it asked for {parts}).{said}"


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    """Returns when the event is set, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
