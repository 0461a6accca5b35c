"""The composition root: from a config to the actors and Serve applications of a pool.

    start_pool(config)   what `hearth up` runs once Ray is there
    build(args)          the import_path of the files in serve_configs/

Models are loaded by the router's command; upstreams, which cost no memory, run from the start.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import serve
from ray.serve import RunTarget
from ray.serve.schema import ServeDeploySchema

from actors.apps import build, build_upstream, end_all
from actors.gateway import GatewayActor
from actors.loader import LoaderActor
from actors.names import GATEWAY, LOADER, NAMESPACE, ROUTER
from actors.nodes import start_agent
from actors.router import RouterActor
from cluster.config import GUIDE, HearthConfig, ModelConfig, UpstreamConfig, home
from cluster.core.events import DeploymentDeclared, DeploymentWithdrawn, Event
from cluster.core.facts import Locality
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import ModelWish
from cluster.deployments.engine import EngineFault
from cluster.deployments.listing import upstream_models
from cluster.deployments.spec import ReplicaSpec
from cluster.deployments.wish import wish_of
from cluster.inventory.node import node_id
from cluster.pool.ray_head import NODE_LABEL

__all__ = ["build", "start_pool"]

SERVE_CONFIGS = Path(__file__).parents[1] / "serve_configs"
READY_S = 60.0
CONFIG = Cause("config")


def start_pool(config: HearthConfig) -> Callable[[], None]:
    """Starts everything on the Ray that this process is connected to; returns what drains it again.

    Actors come up side by side, and Serve beside them.
    """
    node = node_id(home())
    models, upstreams = models_of(config), upstreams_of(config, node)
    pinned = {"namespace": NAMESPACE, "num_cpus": 0, "max_restarts": -1, "label_selector": {NODE_LABEL: node}}
    declared = declarations(models, upstreams)
    actors: list[Any] = [
        ray.remote(RouterActor).options(name=ROUTER, **pinned).remote(config.router, declared),
        ray.remote(GatewayActor).options(name=GATEWAY, **pinned).remote(config.gateway),
        start_agent(NodeId(node)),
        ray.remote(LoaderActor).options(name=LOADER, **pinned).remote(models),
    ]
    serve.start(proxy_location="Disabled")
    wait_ready(actors)
    run_upstreams(upstreams)
    return lambda: stop_pool(actors)


def run_upstreams(upstreams: Mapping[str, Sequence[ReplicaSpec]]) -> None:
    """Returns when their processes are there; the models may still be away."""
    applications = {name: build_upstream(replicas) for name, replicas in upstreams.items()}
    if applications:
        serve.run_many([RunTarget(each, name, route_prefix=None) for name, each in applications.items()])


def stop_pool(actors: Sequence[Any]) -> None:
    """Drains the replicas, then ends the actors: the router has to hear that the fronts are going."""
    *others, loader = actors
    ray.kill(loader)  # it would take the end of its applications for somebody's wish
    end_all()
    for actor in reversed(others):
        ray.kill(actor)


def wait_ready(actors: Sequence[Any]) -> None:
    """Raises what keeps an actor from starting, such as a port in use."""
    ray.get([actor.__ray_ready__.remote() for actor in actors], timeout=READY_S)


def models_of(config: HearthConfig) -> tuple[ModelConfig, ...]:
    """The models of this home: those of its Serve config, and its own."""
    shipped = models_in(SERVE_CONFIGS / f"{config.home_kind}.yaml")
    return (*(model for model in shipped if model.name != GUIDE or config.guide), *config.models)


def models_in(path: Path) -> tuple[ModelConfig, ...]:
    """The models of a file in serve_configs/, checked by Ray's own schema."""
    schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    return tuple(ModelConfig.model_validate(app.args["model"]) for app in schema.applications)


def upstreams_of(config: HearthConfig, node: str) -> dict[str, tuple[ReplicaSpec, ...]]:
    """The replicas of each upstream that has models, by the name of its application."""
    found = {f"upstream {each.name}": _of_upstream(each, node) for each in config.upstreams}
    return {name: replicas for name, replicas in found.items() if replicas}


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


def declarations(
    models: Sequence[ModelConfig], upstreams: Mapping[str, Sequence[ReplicaSpec]]
) -> tuple[Event, ...]:
    """What the router is told before anything has loaded."""
    with ThreadPoolExecutor() as threads:
        of_models = [event for events in threads.map(_declare_model, models) for event in events]
    return (*of_models, *(_declare_upstream(replica) for each in upstreams.values() for replica in each))


def _declare_model(model: ModelConfig) -> tuple[Event, ...]:
    """A model whose files are wrong is declared too: people see it, and why it will not load."""
    try:
        return (_declared(model, wish_of(model)),)
    except EngineFault as fault:
        withdrawn = DeploymentWithdrawn(DeploymentId(model.name), str(fault), CONFIG)
        return (_declared(model, ModelWish(())), withdrawn)


def _declared(model: ModelConfig, wish: ModelWish) -> DeploymentDeclared:
    return DeploymentDeclared(
        DeploymentId(model.name),
        model.name,
        Locality(model.fake.get("locality", model.locality)),
        CONFIG,
        wish,
        model.keep_warm,
        model.priority,
        model.unload_after_s,
    )


def _declare_upstream(replica: ReplicaSpec) -> DeploymentDeclared:
    """An upstream's model is hosted unless it is named local."""
    model = replica.settings["model"]
    locality = Locality.LOCAL if model in replica.settings["local_models"] else Locality.HOSTED
    return DeploymentDeclared(DeploymentId(replica.deployment), model, locality, CONFIG)
