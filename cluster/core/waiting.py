"""The two phases of waiting: a place, a refusal or a commitment within four seconds; then until it fits."""

from cluster.core.commands import Commit, Queue
from cluster.core.context import Context
from cluster.core.errors import HearthError, ModelNotFound, Overloaded, ServerError
from cluster.core.estimate import waits
from cluster.core.expect import FRACTION_STEPS, expected_s, loading_stage, no_room
from cluster.core.facts import Locality, Privacy
from cluster.core.ids import Cause
from cluster.core.state import Turn


def refuse_at_once(ctx: Context, turn: Turn, now: float) -> HearthError | None:
    """Why a turn that has just arrived is not even queued; None: it may wait."""
    if turn.committed:
        return None
    if not ctx.state.knows(turn.arrived.model):
        return ModelNotFound(turn.arrived.model, ctx.state.models())
    nowhere = _nowhere(ctx, turn, now)
    return Overloaded(nowhere) if nowhere else _queue_full(ctx, turn, now)


def _nowhere(ctx: Context, turn: Turn, now: float) -> str:
    """Why there is no replica for the turn and none will come; empty where there may be one."""
    model = turn.arrived.model
    if not ctx.state.serves(model):
        reason = next((each.failed for each in ctx.state.deployments_of(model)), "")
        return (
            f"{model} could not be loaded: {reason}" if reason else f"nothing is left that could load {model}"
        )
    if turn.arrived.privacy is Privacy.LOCAL_ONLY and Locality.LOCAL not in ctx.state.localities(model):
        return f"no node of this home can answer {model}, and the turn may not leave it"
    return no_room(ctx, model, now).removesuffix(".")


def _queue_full(ctx: Context, turn: Turn, now: float) -> HearthError | None:
    num_waiting = len(ctx.queue) - 1  # without this one
    tenant = turn.arrived.session.tenant
    of_tenant = sum(other.arrived.session.tenant == tenant for other in ctx.queue) - 1
    if num_waiting >= ctx.limits.queue:
        full = f"the queue is full ({num_waiting} turns are waiting)"
    elif of_tenant >= ctx.limits.queue_per_tenant:
        full = f"you have {of_tenant} turns waiting already"
    else:
        return None
    estimates = estimate_queue(ctx, turn.arrived.model, now)
    return Overloaded(full, max(estimates.values()))


def estimate_queue(ctx: Context, model: str, now: float) -> dict[str, float]:
    """Seconds until each waiting turn of this model gets a place, by turn."""
    queue, replicas = ctx.queue.of(model), ctx.state.replicas_of(model)
    estimates = waits(queue, ctx.state.turns, replicas, ctx.memory, now, expected_s(ctx, model, now))
    return dict(zip((turn.turn for turn in queue), estimates, strict=True))


def tell_waiting(ctx: Context, cause: Cause, now: float) -> None:
    """Tells waiting turns their position and estimate where it changed; refuses those beyond patience."""
    for model in {turn.arrived.model for turn in ctx.queue}:
        estimates = estimate_queue(ctx, model, now)
        for position, turn in enumerate(ctx.queue.of(model), start=1):
            _tell(ctx, turn, position, estimates[turn.turn], cause, now)


def _tell(ctx: Context, turn: Turn, position: int, estimate_s: float, cause: Cause, now: float) -> None:
    error = _given_up(ctx, turn, now) if turn.committed else _refused(ctx, turn, position, estimate_s, now)
    if error is not None:
        ctx.reject(turn, error, cause)
        return
    if not turn.committed and now - turn.arrived_at >= ctx.limits.commit_after_s:
        turn.committed = True
        ctx.emit(Commit(turn.turn, turn.arrived.gateway, estimate_s, cause))
    stage, fraction = loading_stage(ctx, turn, now)
    loading = stage, int((fraction or 0.0) * FRACTION_STEPS)
    if (position, loading) != (turn.told_position, turn.told_loading):
        turn.told_position, turn.told_loading = position, loading
        ctx.emit(Queue(turn.turn, turn.arrived.gateway, position, estimate_s, cause, stage, fraction))


def _refused(ctx: Context, turn: Turn, position: int, estimate_s: float, now: float) -> HearthError | None:
    nowhere = _nowhere(ctx, turn, now)
    if nowhere:
        return Overloaded(nowhere)
    if now - turn.arrived_at + estimate_s > turn.arrived.patience_s:
        return Overloaded(f"{position - 1} turns are ahead of this one", estimate_s)
    return None


def _given_up(ctx: Context, turn: Turn, now: float) -> HearthError | None:
    """A committed turn is not refused: it fails, where nobody is left or its wait has no end."""
    waited_s = now - turn.waiting_since
    nowhere = _nowhere(ctx, turn, now)
    # A new router hears of a turn before it hears of the front that could take it.
    if nowhere and waited_s > ctx.limits.replica_silent_s:
        return ServerError(f"No place for this turn any more: {nowhere}.")
    if waited_s > ctx.limits.max_wait_s:
        return ServerError(f"No place for this turn within {waited_s:.0f} s.")
    return None
