"""The router's way to the loader."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.core.commands import Load, ToLoader
from cluster.core.events import DeploymentDeclared, LoaderReport, NodeReport, NodeUp
from cluster.core.facts import Locality
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import EngineKind, ModelWish, NodeFacts, Variant, WeightsFormat
from cluster.core.machine import RouterMachine
from cluster.router import Router

CAUSE = Cause("test")
GIB = 2**30
NODE = NodeId("n")
FACTS = NodeFacts(GIB, engines=frozenset({EngineKind.FAKE}))
WISH = ModelWish((Variant("fake", WeightsFormat.NONE, "", 1, 0, 4096),), EngineKind.FAKE)


@dataclass
class LoaderEnd:
    """A LoaderPort that notes what it is told."""

    told: asyncio.Queue[tuple[int, ToLoader]] = field(default_factory=asyncio.Queue)

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        for command in commands:
            self.told.put_nowait((epoch, command))


async def test_the_loader_that_came_last_hears_what_to_load_with_the_epoch() -> None:
    model, earlier, loader = DeploymentId("m"), LoaderEnd(), LoaderEnd()
    async with Router(RouterMachine(7), 7) as router:
        await router.post([DeploymentDeclared(model, "m", Locality.LOCAL, CAUSE, WISH, keep_warm=True)])
        assert await router.attach_loader(earlier) == 7
        assert await router.attach_loader(loader) == 7
        await router.post([NodeUp(NODE, GIB, CAUSE, FACTS), NodeReport(NODE, GIB, CAUSE)])
        await router.post([LoaderReport((), CAUSE)])
        async with asyncio.timeout(10):
            epoch, command = await loader.told.get()
    assert isinstance(command, Load)
    assert (epoch, command.deployment, command.layout.nodes) == (7, "m", ("n",))
    assert earlier.told.empty()
