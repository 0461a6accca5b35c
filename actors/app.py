"""The composition root: from a config to the actors and Serve applications of a pool.

    start_pool(config)   what `hearth up` runs once Ray is there
    build(args)          the import_path of the files in serve_configs/

One Serve application a model (or upstream), so that each comes and goes alone.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import yaml
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application
from ray.serve.schema import ServeDeploySchema

from actors.gateway import GatewayActor
from actors.names import GATEWAY, NAMESPACE, NODE, ROUTER
from actors.node import NodeActor
from actors.router import RouterActor
from cluster.budget import share
from cluster.config import GUIDE, HearthConfig, ModelConfig, UpstreamConfig, home
from cluster.core.events import (
    DeploymentDeclared,
)
from cluster.core.facts import Locality
from cluster.core.ids import Cause, DeploymentId
from cluster.deployments.listing import upstream_models
from cluster.deployments.replica import ReplicaDeployment
from cluster.deployments.sources import weights_bytes
from cluster.deployments.spec import ReplicaSpec
from cluster.inventory.node import node_id
from cluster.pool.ray_head import NODE_LABEL

log = logging.getLogger(__name__)

SERVE_CONFIGS = Path(__file__).parents[1] / "serve_configs"
READY_S = 60.0


class AppArgs(BaseModel):
    """What a Serve application runs: the replicas of one process.  `memory_bytes`: what they may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: tuple[ReplicaSpec, ...]
    memory_bytes: int = 0


def build(args: AppArgs) -> Application:
    """A Serve application.  Its memory is a Ray resource, so its next process waits for the old one's end."""
    node = args.replicas[0].node
    options: dict[str, Any] = {
        "num_cpus": 0,
        "memory": args.memory_bytes,
        "label_selector": {NODE_LABEL: node},
    }
    return ReplicaDeployment.options(name="replica", ray_actor_options=options).bind(args.replicas)


def start_pool(config: HearthConfig) -> Callable[[], None]:
    """Starts everything on the Ray that this process is connected to; returns what drains it again."""
    node = node_id(home())
    apps = with_memory(applications(config, node))
    pinned = {"namespace": NAMESPACE, "num_cpus": 0, "max_restarts": -1, "label_selector": {NODE_LABEL: node}}
    actors: list[Any] = [
        ray.remote(RouterActor).options(name=ROUTER, **pinned).remote(config.router, declarations(apps)),
        ray.remote(NodeActor).options(name=NODE, **pinned).remote(node),
        ray.remote(GatewayActor).options(name=GATEWAY, **pinned).remote(config.gateway),
    ]
    wait_ready(actors)
    serve.start(proxy_location="Disabled")
    serve.run_many([serve.RunTarget(build(args), name, route_prefix=None) for name, args in apps.items()])
    return lambda: stop_pool(actors)


def stop_pool(actors: Sequence[Any]) -> None:
    """Drains the replicas, then ends the actors: the router has to hear that the fronts are going."""
    serve.shutdown()
    for actor in reversed(actors):
        ray.kill(actor)


def wait_ready(actors: Sequence[Any]) -> None:
    """Raises what keeps an actor from starting, such as a port in use."""
    ray.get([actor.__ray_ready__.remote() for actor in actors], timeout=READY_S)


def applications(config: HearthConfig, node: str) -> dict[str, AppArgs]:
    """The applications of this home, by name: those of its Serve config, its models, its upstreams."""
    apps = {}
    for name, args in shipped(SERVE_CONFIGS / f"{config.home_kind}.yaml").items():
        if name != GUIDE or config.guide:
            apps[name] = at_node(args, node)
    for model in config.models:
        apps[model.name] = AppArgs(replicas=(_of_model(model, node),))
    for upstream in config.upstreams:
        replicas = _of_upstream(upstream, node)
        if replicas:
            apps[f"upstream {upstream.name}"] = AppArgs(replicas=replicas)
    return apps


def shipped(path: Path) -> dict[str, AppArgs]:
    """The applications of a file in serve_configs/, checked by Ray's own schema.  Nodes are yet unknown."""
    schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    return {
        app.name: AppArgs.model_validate(
            {**app.args, "replicas": [{"node": "", **replica} for replica in app.args["replicas"]]}
        )
        for app in schema.applications
    }


def at_node(args: AppArgs, node: str) -> AppArgs:
    replicas = tuple(replica.model_copy(update={"node": node}) for replica in args.replicas)
    return args.model_copy(update={"replicas": replicas})


def _of_model(model: ModelConfig, node: str) -> ReplicaSpec:
    is_fake = model.engine == "fake"
    settings = {"model": model.name, **model.fake} if is_fake else model.model_dump(exclude={"fake"})
    engine = "llamacpp" if model.engine == "auto" else model.engine
    return ReplicaSpec(deployment=model.name, node=node, engine=engine, settings=settings)


def _of_upstream(upstream: UpstreamConfig, node: str) -> tuple[ReplicaSpec, ...]:
    settings = upstream.model_dump()
    return tuple(
        ReplicaSpec(
            deployment=f"{upstream.name}/{model}",
            node=node,
            engine="upstream",
            settings={**settings, "model": model},
        )
        for model in upstream_models(upstream)
    )


def with_memory(apps: dict[str, AppArgs]) -> dict[str, AppArgs]:
    """Shares the node's memory among the applications that load weights."""
    weights = {
        name: sum(weights_bytes(str(replica.settings["source"])) for replica in args.replicas)
        for name, args in apps.items()
        if all("source" in replica.settings for replica in args.replicas)
    }
    parts = share(int(ray.cluster_resources().get("memory", 0)), weights) if weights else {}
    return {name: _limited(args, parts.get(name, 0)) for name, args in apps.items()}


def _limited(args: AppArgs, memory_bytes: int) -> AppArgs:
    each = memory_bytes // len(args.replicas)
    replicas = tuple(replica.model_copy(update={"memory_bytes": each}) for replica in args.replicas)
    return args.model_copy(update={"replicas": replicas, "memory_bytes": memory_bytes})


def declarations(apps: dict[str, AppArgs]) -> tuple[DeploymentDeclared, ...]:
    """What the router is told before anything has loaded."""
    return tuple(
        DeploymentDeclared(
            DeploymentId(replica.deployment), _model_id(replica), _locality(replica), Cause("config")
        )
        for args in apps.values()
        for replica in args.replicas
    )


def _model_id(replica: ReplicaSpec) -> str:
    return str(replica.settings["name" if replica.engine == "llamacpp" else "model"])


def _locality(replica: ReplicaSpec) -> Locality:
    """An upstream's model is hosted unless it is named local."""
    if replica.engine != "upstream" or replica.settings["model"] in replica.settings["local_models"]:
        return Locality.LOCAL
    return Locality.HOSTED
