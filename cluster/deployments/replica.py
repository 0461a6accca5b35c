"""A replica as a Ray Serve deployment: Serve keeps the process, everything else is ours.

    ReplicaDeployment.options(name=..., ray_actor_options=...).bind([spec])

Turns do not come through Serve; they come to the front.  The constructor returns before the engine has
loaded: the router hears of the progress, and of a start that was given up.
"""

import asyncio
from collections.abc import Sequence

import ray
from ray import serve

from cluster.core.ids import DeploymentId, NodeId
from cluster.deployments.boots import Boots
from cluster.deployments.ground import LayoutGround
from cluster.deployments.loopback import bind_to_loopback
from cluster.deployments.restarts import ENGINE, UPSTREAM
from cluster.deployments.spec import ReplicaSpec, make_engine
from cluster.raylink import RayRouter

DRAIN_S = 20.0
SHUTDOWN_S = DRAIN_S + 20.0
"""After it Serve kills the process; the engine, its child, dies with it."""


class Replica:
    """Runs what its specs say until Serve ends it: one engine, or the many models of one upstream, which
    cost a process too little to have one each."""

    async def __init__(self, specs: Sequence[ReplicaSpec]) -> None:
        bind_to_loopback()
        self._boots = [_boots(spec) for spec in specs]
        self._running = [asyncio.create_task(boots.run()) for boots in self._boots]

    async def check_health(self) -> None:
        """A start that was given up is no fault of this process: a new one would fare no better."""
        for running in self._running:
            if running.done() and not running.cancelled():
                running.result()

    async def __del__(self) -> None:
        await asyncio.gather(*(boots.drain(DRAIN_S) for boots in self._boots))
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def _boots(spec: ReplicaSpec) -> Boots:
    """Raises pydantic's ValidationError on settings that are not its engine's."""
    address = spec.host or ray.util.get_node_ip_address()
    ground = LayoutGround(spec.layout, address) if spec.layout is not None else None
    return Boots(
        DeploymentId(spec.deployment),
        NodeId(spec.node),
        address,
        lambda: make_engine(spec, ground.hosts if ground is not None else ()),
        RayRouter(),
        UPSTREAM if spec.engine == "upstream" else ENGINE,
        ground=ground,
        load_timeout_s=spec.load_timeout_s,
    )


ReplicaDeployment = serve.deployment(
    graceful_shutdown_timeout_s=SHUTDOWN_S,
    graceful_shutdown_wait_loop_s=0.1,
    health_check_period_s=2.0,
    health_check_timeout_s=10.0,
)(Replica)
