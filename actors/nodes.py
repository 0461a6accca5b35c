"""The nodes of the pool as Ray knows them: each gets its agent, and a lost one is said to be lost.

A node belongs to the pool if it carries the label `hearth.node`.  A further one joins with

    ray start --address HEAD:PORT --node-ip-address ITS_ADDRESS --object-store-memory 83886080
        --labels hearth.node=ITS_NAME,kind=rig --memory BYTES_FOR_MODELS --num-gpus ITS_CARDS

in an environment with HEARTH_HOME, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, a file with the head's token.
The memory and the cards are what the planner gives away there; the other labels are for `where`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import ray

from actors.names import NAMESPACE, node_agent
from actors.node import NodeActor
from cluster.core.ids import NodeId
from cluster.pool.ray_head import NODE_LABEL

PERIOD_S = 1.0
log = logging.getLogger(__name__)


def alive_nodes() -> Mapping[NodeId, Mapping[str, Any]]:
    """Ray's word about each node that is there, by the node's own name.  Blocks."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return {NodeId(name): node for node in nodes if (name := node["Labels"].get(NODE_LABEL))}


def start_agent(node: NodeId) -> Any:  # noqa: ANN401 - Ray's actor handles have no static type
    """The agent of a node, pinned to it; the one that is there already, if it is."""
    options: dict[str, Any] = {
        "name": node_agent(node),
        "namespace": NAMESPACE,
        "num_cpus": 0,
        "max_restarts": -1,
        "label_selector": {NODE_LABEL: node},
        "lifetime": "detached",  # whoever starts it may be started anew, and the agent goes on
        "get_if_exists": True,
    }
    return ray.remote(NodeActor).options(**options).remote(node)


async def watch_nodes(gone: Callable[[NodeId], Awaitable[None]]) -> None:
    """Looks for ever: starts the agents of new nodes, and tells `gone` of lost ones."""
    agents: dict[NodeId, Any] = {}
    while True:
        alive = await asyncio.to_thread(alive_nodes)
        for node in alive.keys() - agents.keys():
            agents[node] = await asyncio.to_thread(start_agent, node)
        for node in agents.keys() - alive.keys():
            log.warning("node %s is lost", node)
            ray.kill(agents.pop(node))
            await gone(node)
        await asyncio.sleep(PERIOD_S)
