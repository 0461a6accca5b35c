"""A whole pool in one process: the real router, real fronts over fake engines, the real gateway.  No Ray."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import aiohttp
from openai import AsyncOpenAI

from cluster.core.context import Limits
from cluster.core.events import DeploymentDeclared
from cluster.core.ids import BootId, Cause, DeploymentId, GatewayId, NodeId, ReplicaId
from cluster.core.machine import RouterMachine
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.front.context import Identity
from cluster.front.front import Front
from cluster.front.limits import FrontLimits
from cluster.front.server import Server
from cluster.gateway.gateway import Gateway, GatewaySettings
from cluster.gateway.link import LinkTimes
from cluster.ports import RouterPort
from cluster.router import Router
from tests.gateway.switch import Switch

FRONT = FrontLimits(report_s=0.05, retry_s=0.01, max_retry_s=0.05, close_s=2.0)
LINK = LinkTimes(heartbeat_s=0.05, retry_s=0.01)
SETTINGS = GatewaySettings(http_port=0, grpc_port=0, link=LINK)


@dataclass
class Replica:
    engine: FakeEngine
    front: Front


@dataclass
class Home:
    """`switch` is the router as fronts and gateway see it."""

    switch: Switch
    gateway: Gateway
    http: aiohttp.ClientSession
    openai: AsyncOpenAI
    replicas: list[Replica] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.http_port}"

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any], Any]:
        """Status, body and headers."""
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def running_router(
    epoch: int = 1, limits: Limits | None = None, declared: Iterable[FakeSettings] = (FakeSettings(),)
) -> AsyncGenerator[Router]:
    """A router that knows what shall run, as the pool's does from its config."""
    async with Router(RouterMachine(epoch, limits=limits), epoch) as router:
        for number, told in enumerate(declared, start=1):
            deployment = DeploymentId(f"deployment-{number}")
            await router.post([DeploymentDeclared(deployment, told.model, told.locality, Cause("test"))])
        yield router


@asynccontextmanager
async def home(
    *engines: FakeEngine,
    settings: GatewaySettings = SETTINGS,
    limits: Limits | None = None,
) -> AsyncGenerator[Home]:
    """A pool with one replica an engine; at the end its books balance and nothing was over capacity."""
    async with AsyncExitStack() as opening:
        declared = [engine.settings for engine in engines]
        router = await opening.enter_async_context(running_router(limits=limits, declared=declared))
        switch = Switch(router)
        pool = await opening.enter_async_context(gateway_at(switch, settings))
        for number, engine in enumerate(engines, start=1):
            named = replica(f"deployment-{number}", f"node-{number}", engine, switch)
            pool.replicas.append(await opening.enter_async_context(named))
        yield pool


@asynccontextmanager
async def gateway_at(switch: Switch, settings: GatewaySettings) -> AsyncGenerator[Home]:
    async with (
        Gateway(switch, GatewayId("gateway-1"), settings) as gateway,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
        AsyncOpenAI(
            base_url=f"http://127.0.0.1:{gateway.http_port}/v1", api_key="any", max_retries=0, timeout=30
        ) as openai,
    ):
        yield Home(switch, gateway, http, openai)


@asynccontextmanager
async def replica(
    deployment: str, node: str, engine: FakeEngine, router: RouterPort
) -> AsyncGenerator[Replica]:
    facts = await engine.start(lambda _: None)
    replica_id, boot = ReplicaId(f"{deployment}-replica"), BootId(token_hex(4))
    who = Identity(replica_id, boot, DeploymentId(deployment), NodeId(node))
    front = Front(who, engine, facts, router, FRONT)
    server = Server(front, "127.0.0.1")
    await server.start()
    await front.reporter.flush()
    try:
        yield Replica(engine, front)
    finally:
        await engine.stop()
        await front.close("the test is over", Cause("test"))
        await server.close()
        front.book.ledger.check()
        assert not front.book.ledger.leases, "a lease outlived its turn"
        assert engine.num_over_capacity == 0
