"""The life of a model: loaded when a turn needs it, unloaded when its memory is worth more elsewhere.

Here is what the machine is told of it.  `lifecycle` has the stages, `stages` the ways between them, `loads`
what is loaded next, `swap` what makes room for it, `booking` the memory.

Commands are said again until a LoaderReport agrees.  Nothing is loaded before the first one of this
router's epoch: the loader may hold models already.  Its reports arrive in the order in which they were
made; they may be late, lost, or come twice.
"""

from cluster.core.booking import note_surprise
from cluster.core.context import Context
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentLoading,
    DeploymentWithdrawn,
    LoadAsked,
    LoaderReport,
    LoadFailed,
    TurnArrived,
    UnloadAsked,
)
from cluster.core.facts import LoadedView
from cluster.core.ids import Cause
from cluster.core.lifecycle import Life, Stage, Start
from cluster.core.loads import load_wanted
from cluster.core.stages import adopt, begin_unload, count_failure, follow, forgive, released
from cluster.core.state import Deployment, Replica


def review(ctx: Context, cause: Cause, now: float) -> None:
    """Brings every managed deployment on: by its replicas, by time, by who wants memory."""
    if not ctx.state.managed():
        return
    for deployment in ctx.state.managed():
        follow(ctx, deployment, cause, now)
    if ctx.state.loader_at is not None:
        load_wanted(ctx, cause, now)


def declared(ctx: Context, event: DeploymentDeclared, now: float) -> Life | None:
    """The life of a deployment with a wish; one that is loaded stays so, its next start follows the wish."""
    known = ctx.state.deployments.get(event.deployment)
    ctx.plans.forget()
    if event.wish is None:
        return None
    if known is None or known.life is None:
        return Life(event, now)
    known.life.declared, known.life.withdrawn = event, False
    forgive(known)
    return known.life


def withdrawn(ctx: Context, event: DeploymentWithdrawn, now: float) -> None:
    """It will not run again: its memory is given back."""
    deployment = ctx.state.deployments.get(event.deployment)
    if deployment is None or deployment.life is None:
        return
    deployment.life.withdrawn = True
    ctx.plans.forget()
    if deployment.life.stage in (Stage.LOADING, Stage.READY):
        begin_unload(ctx, deployment, event.cause, now)
    elif deployment.life.stage is Stage.UNLOADED:
        deployment.life.enter(Stage.FAILED, now)


def node_came(ctx: Context, now: float) -> None:
    """A new node: what failed is tried again with it."""
    ctx.state.nodes_at = now
    for deployment in ctx.state.deployments.values():
        if deployment.life is not None and deployment.failed:
            forgive(deployment)


def node_changed(ctx: Context) -> None:
    """What a node offers may be another thing now."""
    ctx.plans.forget()
    note_surprise(ctx.state)


def replica_closed(ctx: Context, replica: Replica, cause: Cause, now: float) -> None:
    """A person drains its replica: the deployment goes with it."""
    deployment = ctx.state.deployments.get(replica.ready.deployment)
    if deployment is not None and deployment.life is not None and deployment.life.stage is Stage.READY:
        begin_unload(ctx, deployment, cause, now)


def turn_arrived(ctx: Context, event: TurnArrived, now: float) -> None:
    """One more turn for its model."""
    for deployment in _managed(ctx, event.model):
        if deployment.life is not None:
            deployment.life.wanted_once(now)


def load_asked(ctx: Context, event: LoadAsked, now: float) -> None:
    for deployment in _managed(ctx, event.model):
        life = deployment.life
        if life is None or life.withdrawn:
            continue
        forgive(deployment)
        life.dismissed = False
        if life.stage is not Stage.READY:
            life.asked_at = now
        ctx.dirty = True


def unload_asked(ctx: Context, event: UnloadAsked, now: float) -> None:
    for deployment in _managed(ctx, event.model):
        life = deployment.life
        if life is None:
            continue
        life.asked_at, life.dismissed = None, True
        if life.stage in (Stage.LOADING, Stage.READY):
            begin_unload(ctx, deployment, event.cause, now)


def loader_report(ctx: Context, event: LoaderReport, now: float) -> None:
    """What the loader has is so; what it has no more is free."""
    if ctx.state.loader_at is None:
        ctx.state.loader_at = now
        if event.deployments:
            ctx.state.preload_no_more()
    views = {view.deployment: view for view in event.deployments}
    for deployment in ctx.state.deployments.values():
        view = views.get(deployment.deployment)
        if deployment.life is None:
            continue
        if view is not None:
            _named(ctx, deployment, deployment.life, view, event.cause, now)
        elif _surely_gone(ctx, deployment.life, now):
            released(ctx, deployment, now)
    managed = {each.deployment for each in ctx.state.deployments.values() if each.life is not None}
    ctx.state.foreign = {name: view.layout for name, view in views.items() if name not in managed}
    note_surprise(ctx.state)
    ctx.dirty = True


def load_failed(ctx: Context, event: LoadFailed, now: float) -> None:
    """Its memory is held until a report says that it is gone."""
    deployment = ctx.state.deployments.get(event.deployment)
    if deployment is None or deployment.life is None:
        return
    if deployment.life.stage in (Stage.LOADING, Stage.READY):
        count_failure(ctx, deployment, event.reason, now)
        begin_unload(ctx, deployment, event.cause, now, lost=True)


def loading(ctx: Context, event: DeploymentLoading, now: float) -> None:
    deployment = ctx.state.deployments.get(event.deployment)
    if deployment is None or (deployment.life is not None and deployment.life.stage is not Stage.LOADING):
        return
    known = deployment.start
    same = known is not None and known.stage == event.stage
    began_at = known.began_at if known is not None and same else now
    deployment.start = Start(event.stage, event.fraction, began_at, now)


def _named(
    ctx: Context, deployment: Deployment, life: Life, view: LoadedView, cause: Cause, now: float
) -> None:
    if life.stage in (Stage.UNLOADED, Stage.FAILED):
        given_up = life.stage is Stage.FAILED
        adopt(ctx, deployment, view.layout, now)
        if given_up or view.ending:
            begin_unload(ctx, deployment, cause, now)
    elif view.ending and life.stage is not Stage.UNLOADING:
        begin_unload(ctx, deployment, cause, now)
    life.layout, life.named = view.layout, True


def _surely_gone(ctx: Context, life: Life, now: float) -> bool:
    """Whether a report that does not name it says so, and was not made before Load came there."""
    if life.layout is None or life.named:
        return life.named
    said_at = life.load_said_at
    void = said_at is None or now - said_at >= ctx.limits.order_void_s
    return life.stage is Stage.UNLOADING and void


def _managed(ctx: Context, model: str) -> list[Deployment]:
    return [each for each in ctx.state.deployments_of(model) if each.life is not None]
