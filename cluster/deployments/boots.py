"""The life of a replica: boots of its engine, one after the other, each behind a front of its own.

    start -> front -> lost -> gone -> stop -> wait -> start ...

until it is stopped, drained, or given up.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from cluster.core.events import LoadFailed
from cluster.core.ids import BootId, Cause, DeploymentId, NodeId, ReplicaId
from cluster.core.view import LoadingStatus
from cluster.deployments.engine import Engine, EngineFacts, EngineFault, Loading
from cluster.deployments.ground import Ground
from cluster.deployments.restarts import RestartPlan, Restarts
from cluster.front.context import Identity
from cluster.front.front import DRAINED, Front
from cluster.front.limits import FrontLimits
from cluster.front.server import Server
from cluster.ports import RouterAway, RouterPort

SAY_AGAIN_S = 5.0
LOADING_S = 0.25
BACKSTOP_S = 5.0
"""Engines that watch over their own start know better what to say when it takes too long."""

log = logging.getLogger(__name__)


class Boots:
    """One replica of `deployment` on `node`, whose front listens on `host`.

    `ground`: the hosts that `make` uses; None where the engine has none.  A start that gets no further for
    `load_timeout_s` is given up.  `front` is the present boot's, or None.  `failure`: why it was given up, or
    None.
    """

    def __init__(
        self,
        deployment: DeploymentId,
        node: NodeId,
        host: str,
        make: Callable[[], Engine],
        router: RouterPort,
        plan: RestartPlan,
        limits: FrontLimits | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        ground: Ground | None = None,
        load_timeout_s: float | None = None,
    ) -> None:
        self.replica = ReplicaId(f"{deployment}-{secrets.token_hex(4)}")
        self.front: Front | None = None
        self.failure: str | None = None
        self._deployment, self._node, self._host = deployment, node, host
        self._make, self._router, self._limits = make, router, limits or FrontLimits()
        self._restarts, self._now, self._sleep = Restarts(plan), now, sleep
        self._ground, self._load_timeout_s = ground, load_timeout_s
        self._newest, self._newest_at = Loading("starting"), 0.0
        self._has_served = False
        self._gives_up_at_once = plan.num_starts > 0

    async def run(self) -> None:
        """Returns when it was drained; given up, it goes on telling why.  Cancel it to end it."""
        while (reason := await self._boot()) != DRAINED:
            log.warning("%s: %s", self.replica, reason)
            wait_s = self._restarts.failed(self._now())
            # What could not even start once will not start the next time.
            never_served = self._gives_up_at_once and not self._has_served
            if wait_s is None or never_served or (self._ground and self._ground.lost):
                await self._give_up(reason)
            else:
                await self._sleep(wait_s)

    async def drain(self, deadline_s: float) -> None:
        """Takes nothing new and waits for what runs; what runs longer goes on elsewhere."""
        if self.front is not None:
            await self.front.drain(deadline_s, Cause(f"stop:{self.replica}"))

    async def _boot(self) -> str:
        """One boot, until it is lost; returns why.  Nothing of it runs any more then."""
        engine = None
        try:
            if self._ground is not None:
                await self._ground.open()
            engine = self._make()
            facts = await self._start(engine)
            self._has_served = True
            return await self._serve(engine, facts)
        except (EngineFault, ConnectionError) as fault:
            return str(fault)
        except Exception as fault:  # Serve would start the process again and again, and nobody would hear why
            log.exception("%s", self.replica)
            return f"It failed with {type(fault).__name__}: {fault}. See the log of {self._node}."
        finally:
            await _whole(self._end(engine))

    async def _end(self, engine: Engine | None) -> None:
        try:
            if engine is not None:
                await engine.stop()
        finally:
            if self._ground is not None:
                await self._ground.clear()

    async def _start(self, engine: Engine) -> EngineFacts:
        self._newest_at = self._now()
        starting = asyncio.ensure_future(engine.start(self._take_loading))
        telling = asyncio.create_task(self._tell_loading())
        try:
            while not starting.done():
                await self._wait_for(starting)
            return starting.result()
        finally:
            telling.cancel()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _wait_for(self, starting: asyncio.Future[EngineFacts]) -> None:
        """Returns when it is done or has got further.  Raises EngineFault."""
        left_s = None
        if self._load_timeout_s is not None:
            left_s = self._newest_at + self._load_timeout_s + BACKSTOP_S - self._now()
            if left_s <= 0:
                raise await self._too_slow()
        await asyncio.wait({starting}, timeout=left_s)

    async def _too_slow(self) -> EngineFault:
        tail = await self._ground.tail() if self._ground is not None else ""
        return EngineFault(
            f"The start of {self._deployment} got no further for {self._load_timeout_s:g} s (it was at: "
            f"{self._newest.stage})." + (f" Its last lines:\n{tail}\n" if tail else ""),
            "Look for what it waits for, or raise its `load_timeout_s`.",
        )

    def _take_loading(self, loading: Loading) -> None:
        if loading != self._newest:  # engines may call from a thread
            self._newest, self._newest_at = loading, self._now()

    async def _tell_loading(self) -> None:
        """Says how far it is when that changes, and now and then: a new router has to hear of it too."""
        told, told_at = None, self._now()
        while True:
            newest = self._newest
            if newest != told or self._now() - told_at > SAY_AGAIN_S:
                status = LoadingStatus(self._deployment, self.replica, newest.stage, newest.fraction)
                with contextlib.suppress(RouterAway):
                    await self._router.loading(status)
                    told, told_at = newest, self._now()
            await asyncio.sleep(LOADING_S)

    async def _serve(self, engine: Engine, facts: EngineFacts) -> str:
        boot = BootId(secrets.token_hex(8))
        identity = Identity(self.replica, boot, self._deployment, self._node)
        front = Front(identity, engine, facts, self._router, self._limits, self._now)
        server = Server(front, self._host)
        reason = "stopped"
        try:
            await server.start()
            self.front = front
            reason = await front.lost()
        finally:
            self.front = None
            if front.counters.num_turns_ended or front.counters.num_embeds:
                self._restarts.answered()
            await _whole(self._close(front, server, reason))
        return reason

    async def _close(self, front: Front, server: Server, reason: str) -> None:
        await front.close(reason, Cause(f"gone:{self.replica}"))
        await server.close()

    async def _give_up(self, reason: str) -> None:
        """Says that it cannot run here until it is told to end: a new router has to hear of it too."""
        self.failure = reason
        cause = Cause(f"given-up:{self.replica}")
        while True:
            with contextlib.suppress(RouterAway):
                await self._router.post([LoadFailed(self._deployment, reason, cause)])
            await self._sleep(SAY_AGAIN_S)


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Does `work` to its end, also where whoever waits for it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
