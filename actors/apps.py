"""Serve applications: one a model, so that each comes and goes alone; and the loader's view of them.

build(args)   the import_path of the files in serve_configs/
"""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ray
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application, RunTarget
from ray.serve.schema import ApplicationStatus
from ray.util import list_named_actors, placement_group_table

from cluster.config import ModelConfig
from cluster.core.ids import DeploymentId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.replica import SHUTDOWN_S, ReplicaDeployment
from cluster.deployments.spec import ReplicaSpec
from cluster.loader.apps import App, Stage
from cluster.pool.ray_head import NODE_LABEL

CONTROLLER, SERVE_NAMESPACE = "SERVE_CONTROLLER_ACTOR", "serve"
REPLICA = "SERVE_REPLICA::"
"""How Serve begins the names of replicas and of their placement groups; `application#deployment#` follows."""

POLL_S = 0.1
STAGES = {
    ApplicationStatus.DEPLOYING: Stage.STARTING,
    ApplicationStatus.UNHEALTHY: Stage.STARTING,
    ApplicationStatus.NOT_STARTED: Stage.STARTING,
    ApplicationStatus.RUNNING: Stage.RUNNING,
    ApplicationStatus.DEPLOY_FAILED: Stage.FAILED,
    ApplicationStatus.DELETING: Stage.ENDING,
}


class AppArgs(BaseModel):
    """A model and the layout in which it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig
    layout: Layout


def build(args: AppArgs) -> Application:
    """The application of one model: one replica, which holds rank 0 and the front.

    Its memory is a Ray resource on each of its nodes, so that the next to want it waits for its end.  Over
    several nodes the replica has a placement group, a bundle for each, taken as a whole or not at all.
    """
    specs = [replica_spec(args.model, args.layout)]
    first, *others = args.layout.shards
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": first.num_gpus, "memory": first.memory_bytes}
    if not others:
        options["label_selector"] = {NODE_LABEL: first.node}
        return ReplicaDeployment.options(name="replica", ray_actor_options=options).bind(specs)
    return ReplicaDeployment.options(
        name="replica",
        ray_actor_options=options,
        placement_group_bundles=[_bundle(shard) for shard in args.layout.shards],
        placement_group_bundle_label_selector=[{NODE_LABEL: shard.node} for shard in args.layout.shards],
        placement_group_strategy="PACK",  # the labels say where; two bundles may be of one node
    ).bind(specs)


def _bundle(shard: Shard) -> dict[str, float]:
    return {"memory": shard.memory_bytes, **({"GPU": shard.num_gpus} if shard.num_gpus else {})}


def replica_spec(model: ModelConfig, layout: Layout) -> ReplicaSpec:
    is_fake = layout.engine is EngineKind.FAKE
    settings = {"model": model.name, **model.fake} if is_fake else model.model_dump(exclude={"fake"})
    return ReplicaSpec(
        deployment=model.name,
        node=layout.shards[0].node,
        engine=layout.engine.value,
        settings=settings if is_fake else {**settings, "source": layout.source},
        memory_bytes=layout.shards[0].memory_bytes,
        layout=layout,
        load_timeout_s=model.load_timeout_s,
    )


def build_upstream(replicas: Sequence[ReplicaSpec]) -> Application:
    """The application of one upstream: a front for each of its models, in one process."""
    options = {"num_cpus": 0, "label_selector": {NODE_LABEL: replicas[0].node}}
    return ReplicaDeployment.options(name="replica", ray_actor_options=options).bind(replicas)


class ServeApps:
    """Implements Apps over the Serve that runs.  Knows the models of the config and no other application."""

    def __init__(self, models: Iterable[ModelConfig]) -> None:
        self._models = {DeploymentId(model.name): model for model in models}

    def start(self, deployment: DeploymentId, layout: Layout) -> None:
        model = self._models.get(deployment)
        if model is None:
            raise ValueError(f"the config has no model {deployment}.")
        self._await_end(deployment)
        target = RunTarget(build(AppArgs(model=model, layout=layout)), deployment, route_prefix=None)
        serve.run_many(
            [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
        )

    def _await_end(self, deployment: DeploymentId) -> None:
        """An application of this name may still be on its way out."""
        end = time.monotonic() + SHUTDOWN_S + 20.0
        while self.listed().get(deployment, App(Stage.RUNNING)).stage is Stage.ENDING:
            if time.monotonic() > end:
                raise TimeoutError("the earlier one does not end.")
            time.sleep(POLL_S)

    def end(self, deployment: DeploymentId) -> None:
        app = self.listed().get(deployment)
        serve.delete(deployment, _blocking=False)
        if app is not None and app.stage is Stage.STARTING:
            kill_replicas(deployment)

    def listed(self) -> Mapping[DeploymentId, App]:
        ray.get_actor(CONTROLLER, SERVE_NAMESPACE)  # without it nothing would seem to be there
        status = serve.status().applications
        ours = {DeploymentId(name): one for name, one in status.items() if name in self._models}
        apps = {name: App(STAGES[one.status], _words(one)) for name, one in ours.items()}
        return {**{name: App(Stage.ENDING) for name in self._still_placed()}, **apps}

    def _still_placed(self) -> Iterable[DeploymentId]:
        """The models of placement groups that are there, application or not."""
        for group in placement_group_table().values():
            app = str(group["name"]).removeprefix(REPLICA).partition("#")[0]
            if group["state"] != "REMOVED" and app in self._models:
                yield DeploymentId(app)


def kill_replicas(app: str) -> None:
    """Ends the replicas of an application that have not started: Serve would ask them to end, and wait long
    for an answer that cannot come."""
    for named in list_named_actors(all_namespaces=True):
        if named["namespace"] == SERVE_NAMESPACE and named["name"].startswith(f"{REPLICA}{app}#"):
            with contextlib.suppress(ValueError):  # gone meanwhile
                ray.kill(ray.get_actor(named["name"], SERVE_NAMESPACE))


def end_all() -> None:
    """Ends Serve with all its applications; those that run drain."""
    for name, app in serve.status().applications.items():
        if STAGES[app.status] is Stage.STARTING:
            serve.delete(name, _blocking=False)
            kill_replicas(name)
    serve.shutdown()


def _words(status: Any) -> str:  # noqa: ANN401 - Serve's overview has no public type
    """What Serve says of an application and its deployments."""
    said = [status.message, *(one.message for one in status.deployments.values())]
    return " ".join(dict.fromkeys(words.strip() for words in said if words.strip()))
