"""An engine that runs, behind a real front, router and gateway, asked by OpenAI's own client.  No Ray."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from cluster.core.events import DeploymentDeclared
from cluster.core.ids import BootId, Cause, DeploymentId, NodeId, ReplicaId
from cluster.core.machine import RouterMachine
from cluster.front.context import Identity
from cluster.front.front import Front
from cluster.front.server import Server
from cluster.router import Router
from tests.engines.kit import Running
from tests.gateway.home import FRONT, SETTINGS, Home, gateway_at
from tests.gateway.switch import Switch

DEPLOYMENT = DeploymentId("deployment-1")


@asynccontextmanager
async def served(running: Running) -> AsyncGenerator[Home]:
    """The engine runs on when its pool is gone."""
    facts = running.facts
    who = Identity(ReplicaId("replica-1"), BootId("boot-1"), DEPLOYMENT, NodeId("node-1"))
    async with Router(RouterMachine(1), 1) as router:
        await router.post([DeploymentDeclared(DEPLOYMENT, facts.model, facts.locality, Cause("test"))])
        switch = Switch(router)
        front = Front(who, running.engine, facts, switch, FRONT)
        server = Server(front, "127.0.0.1")
        await server.start()
        await front.reporter.flush()
        try:
            async with gateway_at(switch, SETTINGS) as pool:
                yield pool
        finally:
            await front.close("the test is over", Cause("test"))
            await server.close()
            assert not front.book.ledger.leases, "a lease outlived its turn"
