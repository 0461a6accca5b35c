"""When a model that is not loaded may be ready, and what those who wait for it are told meanwhile."""

from cluster.core.context import Context
from cluster.core.estimate import LOADING_S, drain_s
from cluster.core.lifecycle import Life, Stage, Start
from cluster.core.loads import hopeless
from cluster.core.state import Deployment, Turn
from cluster.core.swap import quantum_s, thrashing

LEAST_S = 1.0
"""Said of a start that takes longer than expected."""

START_SILENT_S = 15.0
"""Who loads says so at least every five seconds."""

FRACTION_STEPS = 20
"""A client is told of every twentieth of a stage."""

STARTING = "starting"
WAITING_FOR_MEMORY = "waiting for memory"


def expected_s(ctx: Context, model: str, now: float) -> float:
    """Seconds until a replica may answer for a model that none answers for now."""
    expected = [
        _expected_s(ctx, deployment, deployment.life, now)
        for deployment in _to_come(ctx, model)
        if deployment.life is not None
    ]
    return min(expected, default=LOADING_S)


def _expected_s(ctx: Context, deployment: Deployment, life: Life, now: float) -> float:
    if life.stage is Stage.LOADING:
        return _left_s(life, deployment.start, now)
    wait_s = max(life.retry_at - now, 0.0)
    if life.starts_at is not None:
        wait_s = max(wait_s, life.starts_at - now)
    elif life.stage is Stage.UNLOADING and thrashing(ctx.state.swaps, now):
        wait_s = max(wait_s, quantum_s(life.load_s, ctx.limits.swap_wait_s))
    return wait_s + _drained_s(ctx, now) + life.load_s


def _drained_s(ctx: Context, now: float) -> float:
    """Seconds until the turns in flight of models on their way out are over."""
    leaving = [
        replica
        for life in ctx.state.lives()
        if life.stage is Stage.UNLOADING
        for replica in ctx.state.replicas_in(life.declared.deployment)
    ]
    return drain_s(leaving, ctx.state.turns, ctx.memory, now)


def _left_s(life: Life, start: Start | None, now: float) -> float:
    """Of a start under way: what it takes as a rule, or what its stage says, if that is longer."""
    left_s = life.load_s - (now - life.since)
    if start is not None and start.fraction and now > start.began_at:
        spent_s = start.heard_at - start.began_at
        left_s = max(left_s, spent_s * (1.0 / start.fraction - 1.0) - (now - start.heard_at))
    return max(left_s, LEAST_S)


def loading_stage(ctx: Context, turn: Turn, now: float) -> tuple[str, float | None]:
    """The stage in which the turn's model is on its way, and the fraction of it; empty where it waits for
    something else."""
    model = turn.arrived.model
    if any(not replica.draining for replica in ctx.state.fleet(model).replicas.values()):
        return "", None
    for deployment in _to_come(ctx, model):
        start = deployment.start
        if start is not None and now - start.heard_at <= START_SILENT_S:
            return start.stage, start.fraction
        if deployment.life is not None:
            starting = deployment.life.stage is Stage.LOADING
            return STARTING if starting else WAITING_FOR_MEMORY, None
    return "", None


def no_room(ctx: Context, model: str, now: float) -> str:
    """Why no memory here could ever hold the model; empty where it could, or runs elsewhere too."""
    if ctx.state.answers(model):
        return ""
    coming = _to_come(ctx, model)
    words = [
        hopeless(ctx, deployment.life, now)
        for deployment in coming
        if deployment.life is not None and deployment.life.layout is None
    ]
    return words[0] if coming and len(words) == len(coming) and all(words) else ""


def _to_come(ctx: Context, model: str) -> list[Deployment]:
    """Deployments of the model that may run, those on their way first."""
    may = [each for each in ctx.state.deployments_of(model) if not each.failed]
    return sorted(may, key=lambda each: each.life is not None and each.life.stage is not Stage.LOADING)
