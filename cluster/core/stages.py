"""One deployment from stage to stage: what begins a start or an end, and what time and replicas bring."""

from cluster.core.booking import living
from cluster.core.commands import Drain, Load, Unload
from cluster.core.context import Context
from cluster.core.ids import Cause
from cluster.core.layout import Layout
from cluster.core.lifecycle import Life, Stage
from cluster.core.state import Deployment, Replica

SETTLED_S = 60.0
"""A model that became ready so long ago has started well: what fails then is counted anew."""

MAX_RETRY_S = 300.0


def begin_load(ctx: Context, deployment: Deployment, layout: Layout, cause: Cause, now: float) -> None:
    """Books the layout and says Load."""
    life = _life(deployment)
    life.enter(Stage.LOADING, now)
    life.layout, life.named, life.adopted_at, life.surely_lost = layout, False, None, False
    life.began_at, life.why_not, life.starts_at = now, "", None
    deployment.start = None
    ctx.count("num_loads")
    life.totals["num_loads"] += 1
    _say_load(ctx, deployment, cause, now)


def begin_unload(ctx: Context, deployment: Deployment, cause: Cause, now: float, lost: bool = False) -> None:
    """Closes it to new turns; its memory comes back when those in flight are over."""
    life = _life(deployment)
    life.enter(Stage.UNLOADING, now)
    life.closed_at, life.unload_said_at, life.surely_lost = now, None, lost
    life.began_at, deployment.start = None, None
    _drain(ctx, deployment, cause)
    if not lost:
        ctx.state.preload_no_more()
    _say_unload(ctx, deployment, life, cause, now)
    ctx.dirty = True


def adopt(ctx: Context, deployment: Deployment, layout: Layout, now: float) -> None:
    """Takes over what the loader has without having been asked by this router."""
    life = _life(deployment)
    life.enter(Stage.LOADING, now)
    life.layout, life.adopted_at, life.began_at, life.surely_lost = layout, now, None, False
    life.load_said_at = None
    life.why_not, life.starts_at, deployment.start = "", None, None


def released(ctx: Context, deployment: Deployment, now: float) -> None:
    """The loader has it no more: its memory is free."""
    life = _life(deployment)
    for replica in ctx.state.replicas_in(deployment.deployment):
        replica.draining = True
        ctx.touch(replica)
    if life.stage in (Stage.LOADING, Stage.READY):
        count_failure(ctx, deployment, "the loader has lost it", now)
        life.closed_at = now
    elif life.swapped and life.unload_said_at is not None:
        ctx.count("swap_ms", round(1000 * (now - life.unload_said_at)))
        life.swapped = False
    life.enter(Stage.FAILED if deployment.failed else Stage.UNLOADED, now)
    life.layout, life.named, life.adopted_at, life.began_at = None, False, None, None
    deployment.start = None
    ctx.dirty = True


def count_failure(ctx: Context, deployment: Deployment, reason: str, now: float) -> None:
    """A start that failed, or a loaded model that was lost: tried again later, elsewhere, or given up."""
    life = _life(deployment)
    if life.began_at is None:
        life.preload = True
        if now - life.ready_at >= SETTLED_S:
            life.num_failures = 0
    life.num_failures += 1
    life.retry_at = now + min(ctx.limits.load_retry_s * 2 ** (life.num_failures - 1), MAX_RETRY_S)
    life.avoid = frozenset(life.layout.nodes) if life.layout is not None else frozenset()
    life.swapped = False
    ctx.count("num_loads_failed")
    life.totals["num_failed"] += 1
    if life.num_failures >= ctx.limits.load_tries:
        deployment.failed = reason
        life.asked_at = None


def forgive(deployment: Deployment) -> None:
    """What failed may be tried again at once."""
    life = _life(deployment)
    if not life.withdrawn:
        deployment.failed = ""
        life.num_failures, life.retry_at, life.avoid = 0, 0.0, frozenset()
        if life.stage is Stage.FAILED:
            life.stage = Stage.UNLOADED


def follow(ctx: Context, deployment: Deployment, cause: Cause, now: float) -> None:
    """What replicas and time bring about."""
    life = _life(deployment)
    if is_busy(ctx, deployment):
        life.busy_at = now
    match life.stage:
        case Stage.LOADING:
            _follow_loading(ctx, deployment, life, cause, now)
        case Stage.READY:
            _follow_ready(ctx, deployment, life, cause, now)
        case Stage.UNLOADING:
            _drain(ctx, deployment, cause)
            _say_unload(ctx, deployment, life, cause, now)
        case Stage.UNLOADED | Stage.FAILED:
            pass


def is_busy(ctx: Context, deployment: Deployment) -> bool:
    """Whether turns of its model wait, or run there."""
    if any(replica.ledger.leases for replica in ctx.state.replicas_in(deployment.deployment)):
        return True
    return any(turn.arrived.model == deployment.model for turn in ctx.queue)


def _follow_loading(ctx: Context, deployment: Deployment, life: Life, cause: Cause, now: float) -> None:
    if _answering(ctx, deployment):
        _becomes_ready(ctx, life, now)
        deployment.start = None
    elif _lost_node(ctx, life, now) or _stopped(ctx, deployment, life, now):
        life.preload |= life.began_at is None
        begin_unload(ctx, deployment, cause, now, lost=True)
    elif not life.named and _due(life.load_said_at, ctx.limits.say_again_s, now):
        _say_load(ctx, deployment, cause, now)


def _becomes_ready(ctx: Context, life: Life, now: float) -> None:
    if life.began_at is not None:
        life.learn_load(now - life.began_at)
        if life.swapped:
            ctx.count("swap_ms", round(1000 * (now - life.began_at)))
    life.enter(Stage.READY, now)
    life.ready_at = life.busy_at = now
    life.began_at = life.asked_at = life.adopted_at = None
    life.preload = life.swapped = False


def _follow_ready(ctx: Context, deployment: Deployment, life: Life, cause: Cause, now: float) -> None:
    idle_s = life.declared.unload_after_s
    if not _answering(ctx, deployment):
        life.enter(Stage.LOADING, now)
        life.closed_at = now
    elif idle_s is not None and not life.keep_warm and now - life.busy_at >= idle_s:
        begin_unload(ctx, deployment, cause, now)


def _answering(ctx: Context, deployment: Deployment) -> list[Replica]:
    there = ctx.state.replicas_in(deployment.deployment)
    return [replica for replica in there if not replica.draining]


def _lost_node(ctx: Context, life: Life, now: float) -> bool:
    """Whether a shard is on a node that is gone.  A new router waits until it had time to hear of it."""
    silent_s = ctx.limits.node_silent_s
    if life.layout is None or ctx.state.age_s(now) <= silent_s:
        return False
    return not set(life.layout.nodes) <= living(ctx.state, silent_s, now).keys()


def _stopped(ctx: Context, deployment: Deployment, life: Life, now: float) -> bool:
    """Whether its replica takes nothing new, has nothing left, and does not go."""
    there = ctx.state.replicas_in(deployment.deployment)
    idle = bool(there) and not any(replica.ledger.leases for replica in there)
    return idle and life.named and life.began_at is None and now - life.since > ctx.limits.node_silent_s


def _drain(ctx: Context, deployment: Deployment, cause: Cause) -> None:
    """Its fronts repeat until they have heard it: `replicas.report` says Drain again."""
    for replica in _answering(ctx, deployment):
        replica.draining, replica.drain_asked = True, cause
        ctx.touch(replica)
        ctx.emit(Drain(replica.replica, replica.boot, cause))


def _say_load(ctx: Context, deployment: Deployment, cause: Cause, now: float) -> None:
    life = _life(deployment)
    assert life.layout is not None
    life.load_said_at = now
    ctx.emit(Load(deployment.deployment, life.layout, cause))


def _say_unload(ctx: Context, deployment: Deployment, life: Life, cause: Cause, now: float) -> None:
    if not _empty(ctx, deployment, life, now):
        return
    if life.unload_said_at is None:
        ctx.count("num_unloads")
        life.totals["num_unloads"] += 1
        life.unload_said_at = now
    elif not _due(life.unload_again_at, ctx.limits.say_again_s, now):
        return
    life.unload_again_at = now
    ctx.emit(Unload(deployment.deployment, cause))


def _empty(ctx: Context, deployment: Deployment, life: Life, now: float) -> bool:
    """Whether no turn can be in flight there.  What is adopted, or silent, has its time to say so."""
    there = ctx.state.replicas_in(deployment.deployment)
    if any(replica.ledger.leases for replica in there):
        return False
    if life.surely_lost:
        return True
    silent = [each for each in ctx.state.silent.values() if each.ready.deployment == deployment.deployment]
    if any(now - replica.last_seen < ctx.limits.drain_silent_s for replica in silent):
        return False
    adopted_at = life.adopted_at if not there else None
    return adopted_at is None or now - adopted_at >= ctx.limits.node_silent_s


def _due(said_at: float | None, again_s: float, now: float) -> bool:
    return said_at is None or now - said_at >= again_s


def _life(deployment: Deployment) -> Life:
    assert deployment.life is not None
    return deployment.life
