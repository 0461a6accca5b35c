"""The two phases of waiting: a place, a refusal or a commitment within four seconds; then until it fits."""

from cluster.core.commands import Commit, Queue
from cluster.core.context import Context
from cluster.core.errors import HearthError, ModelNotFound, Overloaded, ServerError
from cluster.core.estimate import waits
from cluster.core.facts import Locality, Privacy
from cluster.core.ids import Cause
from cluster.core.queue import in_order
from cluster.core.state import Phase, Turn


def refuse_at_once(ctx: Context, turn: Turn) -> HearthError | None:
    """Why a turn that has just arrived is not even queued; None: it may wait."""
    if turn.committed:
        return None
    model = turn.arrived.model
    if not ctx.state.serves(model):
        failed = [each.failed for each in ctx.state.deployments.values() if each.model == model]
        return Overloaded(f"{model} could not be loaded: {failed[0]}") if failed else _unknown(ctx, model)
    if turn.arrived.privacy is Privacy.LOCAL_ONLY and not _served_locally(ctx, model):
        return Overloaded(f"no node of this home can answer {model}, and the turn may not leave it")
    return _queue_full(ctx, turn)


def _unknown(ctx: Context, model: str) -> HearthError:
    return ModelNotFound(model, ctx.state.models())


def _served_locally(ctx: Context, model: str) -> bool:
    declared = (each.locality for each in ctx.state.deployments.values() if each.model == model)
    ready = (replica.ready.locality for replica in ctx.state.replicas_of(model))
    return Locality.LOCAL in {*declared, *ready}


def _queue_full(ctx: Context, turn: Turn) -> HearthError | None:
    waiting = [
        other for other in ctx.state.turns.values() if other.phase is Phase.WAITING and other is not turn
    ]
    tenant = turn.arrived.session.tenant
    of_tenant = sum(other.arrived.session.tenant == tenant for other in waiting)
    if len(waiting) >= ctx.limits.queue:
        return Overloaded(f"the queue is full ({len(waiting)} turns are waiting)", _last_wait(ctx, turn))
    if of_tenant >= ctx.limits.queue_per_tenant:
        return Overloaded(f"you have {of_tenant} turns waiting already", _last_wait(ctx, turn))
    return None


def _last_wait(ctx: Context, turn: Turn) -> float:
    estimates = estimate_queue(ctx, turn.arrived.model, turn.arrived_at)
    return max(estimates.values(), default=1.0)


def estimate_queue(ctx: Context, model: str, now: float) -> dict[str, float]:
    """Seconds until each waiting turn of this model gets a place, by turn."""
    queue = [turn for turn in in_order(ctx.state.turns.values()) if turn.arrived.model == model]
    running = [turn for turn in ctx.state.turns.values() if turn.phase is not Phase.WAITING]
    return dict(
        zip(
            (turn.turn for turn in queue),
            waits(queue, running, ctx.state.replicas_of(model), ctx.memory, now),
            strict=True,
        )
    )


def tell_waiting(ctx: Context, cause: Cause, now: float) -> None:
    """Tells waiting turns their position and estimate where it changed; refuses those beyond patience."""
    waiting = in_order(ctx.state.turns.values())
    for model in {turn.arrived.model for turn in waiting}:
        estimates = estimate_queue(ctx, model, now)
        of_model = [turn for turn in waiting if turn.arrived.model == model]
        for position, turn in enumerate(of_model, start=1):
            _tell(ctx, turn, position, estimates[turn.turn], cause, now)


def _tell(ctx: Context, turn: Turn, position: int, estimate_s: float, cause: Cause, now: float) -> None:
    waited_s = now - turn.arrived_at
    if not ctx.state.serves(turn.arrived.model):
        ctx.reject(turn, Overloaded(f"nothing is left that could load {turn.arrived.model}"), cause)
        return
    if turn.committed:
        if waited_s > ctx.limits.max_wait_s:
            ctx.reject(turn, ServerError(f"No place for this turn within {waited_s:.0f} s."), cause)
            return
    elif waited_s + estimate_s > turn.arrived.patience_s:
        ctx.reject(turn, Overloaded(f"{position - 1} turns are ahead of this one", estimate_s), cause)
        return
    elif waited_s >= ctx.limits.commit_after_s:
        turn.committed = True
        ctx.emit(Commit(turn.turn, turn.arrived.gateway, estimate_s, cause))
    if position != turn.told_position:
        turn.told_position = position
        ctx.emit(Queue(turn.turn, turn.arrived.gateway, position, estimate_s, cause))
