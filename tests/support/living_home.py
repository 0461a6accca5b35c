"""A pool in one process whose router loads and unloads models: the real machine, fronts and gateway over fake
engines, and a loader that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from cluster.core.commands import Load, ToLoader
from cluster.core.context import Limits
from cluster.core.events import DeploymentDeclared, LoaderReport, NodeReport, NodeUp
from cluster.core.facts import LoadedView, Locality
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import EngineKind, NodeFacts
from cluster.core.machine import RouterMachine
from cluster.core.view import LoadingStatus
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.router import Router
from tests.core.managed import GIB, simple_plan, wish_of
from tests.gateway.home import SETTINGS, Home, gateway_at, replica
from tests.gateway.switch import Switch

CAUSE, NODE = Cause("test"), NodeId("node-1")
LIMITS = Limits(commit_after_s=0.1, settle_s=3600.0)
REPORT_S = 0.05


@dataclass
class Loader:
    """A LoaderPort.  A start says `reading weights` at 40 % and waits for `may_start`."""

    router: Router
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    loaded: dict[DeploymentId, LoadedView] = field(default_factory=dict)
    stopping: dict[DeploymentId, AsyncExitStack] = field(default_factory=dict)
    tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        for command in commands:
            if isinstance(command, Load) and command.deployment not in self.loaded:
                self.loaded[command.deployment] = LoadedView(command.deployment, command.layout)
                self.tasks.create_task(self._start(command.deployment))
            elif not isinstance(command, Load) and command.deployment in self.stopping:
                await self.stopping.pop(command.deployment).aclose()
                self.loaded.pop(command.deployment)
        await self._report()

    async def _start(self, name: DeploymentId) -> None:
        self.stopping[name] = AsyncExitStack()
        await self.router.loading(LoadingStatus(name, name, "reading weights", 0.4))
        await self.may_start.wait()
        engine = FakeEngine(FakeSettings(model=name, answer=f"I am {name}."))
        await self.stopping[name].enter_async_context(replica(name, NODE, engine, self.router))

    async def report(self) -> None:
        """Reports for ever."""
        while True:
            await self._report()
            await asyncio.sleep(REPORT_S)

    async def _report(self) -> None:
        await self.router.post(
            [LoaderReport(tuple(self.loaded.values()), CAUSE), NodeReport(NODE, GIB, CAUSE)]
        )


@dataclass
class LivingHome:
    pool: Home
    loader: Loader

    async def state(self, model: str) -> str:
        return next(one.state for one in (await self.loader.router.view()).models if one.model == model)


@asynccontextmanager
async def living_home(models: dict[str, float], node_gib: float) -> AsyncGenerator[LivingHome]:
    """`models`: GiB by name; none is loaded before somebody wants it."""
    async with Router(RouterMachine(1, limits=LIMITS, planner=simple_plan), 1) as router:
        facts = NodeFacts(int(node_gib * GIB), engines=frozenset({EngineKind.FAKE}))
        await router.post([NodeUp(NODE, facts.models_bytes, CAUSE, facts)])
        for name, gib in models.items():
            await router.post(
                [DeploymentDeclared(DeploymentId(name), name, Locality.LOCAL, CAUSE, wish_of(name, gib))]
            )
        loader = Loader(router)
        async with gateway_at(Switch(router), SETTINGS) as pool, loader.tasks:
            await router.attach_loader(loader)
            reporting = loader.tasks.create_task(loader.report())
            try:
                yield LivingHome(pool, loader)
            finally:
                loader.may_start.set()
                reporting.cancel()
                for stack in loader.stopping.values():
                    await stack.aclose()
