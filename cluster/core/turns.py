"""What gateways say of turns."""

from cluster.core import life
from cluster.core.admission import need_of
from cluster.core.context import Context
from cluster.core.errors import ContextLengthExceeded, HearthError, ReplicaLost
from cluster.core.events import (
    FirstToken,
    GatewayUp,
    GrantRefused,
    StreamLost,
    TurnArrived,
    TurnCancelled,
    TurnFinished,
    TurnMeasured,
)
from cluster.core.ids import LeaseId
from cluster.core.learning import learn_speed
from cluster.core.state import Phase, Turn
from cluster.core.waiting import refuse_at_once

DRAINING = "draining"


def gateway_up(ctx: Context, event: GatewayUp, now: float) -> None:
    ctx.state.gateways[event.gateway] = now


def arrived(ctx: Context, event: TurnArrived, now: float) -> None:
    """Takes a turn in."""
    ctx.state.gateways[event.gateway] = now
    known = ctx.state.turns.get(event.turn)
    if known is not None:
        _told_again(ctx, known, event, now)
        return
    turn = Turn(event, now - event.waited_s, waiting_since=now, committed=event.committed)
    turn.prompt_tokens, turn.generated_tokens = event.prompt_tokens, event.generated_tokens
    turn.measured = event.prompt_tokens is not None
    ctx.count("num_turns_arrived")
    ctx.state.turns[event.turn] = turn
    ctx.queue.enter(turn)
    life.turn_arrived(ctx, event, now)
    if event.lease is not None:
        _runs_already(ctx, turn, event.lease)
        return
    error = refuse_at_once(ctx, turn, now)
    if error is not None:
        ctx.reject(turn, error, event.cause)
        return
    ctx.queue.join(turn, need_of(turn, ctx.memory).tokens)
    ctx.dirty = True


def _told_again(ctx: Context, turn: Turn, event: TurnArrived, now: float) -> None:
    """A gateway may commit by itself; and one that waits where a lease is over was not heard to lose it."""
    turn.committed |= event.committed
    if turn.phase is Phase.ENDING and event.lease is None:
        ctx.requeue(turn, now)


def _runs_already(ctx: Context, turn: Turn, lease: LeaseId) -> None:
    """A turn that an earlier router placed: its front has, or will have, told of the lease."""
    ctx.queue.leave(turn)
    turn.phase, turn.lease = Phase.RUNNING, lease
    for replica in ctx.state.replicas.values():
        if lease in replica.ledger.leases:
            turn.replica = replica.replica


def measured(ctx: Context, event: TurnMeasured, now: float) -> None:
    turn = ctx.state.turns.get(event.turn)
    if turn is None or turn.phase is not Phase.WAITING:
        return
    turn.measured, turn.measuring_since = True, None
    turn.prompt_tokens = event.prompt_tokens
    ctx.dirty = True


def first_token(ctx: Context, event: FirstToken, now: float) -> None:
    turn = ctx.state.turns.get(event.turn)
    if turn is not None and turn.first_token_at is None:
        turn.first_token_at = now


def finished(ctx: Context, event: TurnFinished, now: float) -> None:
    """The answer is whole: learn from it and forget the turn.  Its lease ends by the front's word."""
    turn = ctx.state.turns.get(event.turn)
    if turn is None:
        return
    ctx.count("num_turns_finished")
    ctx.count("prompt_tokens", event.prompt_tokens)
    ctx.count("cached_tokens", event.cached_tokens)
    ctx.count("completion_tokens", event.completion_tokens)
    arrived = turn.arrived
    ctx.memory.learn(
        arrived.session, arrived.model, arrived.prompt_bytes, event.prompt_tokens, event.completion_tokens
    )
    _learn_speed(ctx, turn, event, now)
    ctx.forget(turn)


def _learn_speed(ctx: Context, turn: Turn, event: TurnFinished, now: float) -> None:
    replica = ctx.replica_of(turn)
    if replica is None or turn.started_at is None or turn.first_token_at is None or turn.num_lost:
        return
    speed = learn_speed(
        replica.speed,
        event.prompt_tokens - event.cached_tokens,
        turn.first_token_at - turn.started_at,
        event.completion_tokens - 1,
        now - turn.first_token_at,
    )
    replica.learn(speed)


def cancelled(ctx: Context, event: TurnCancelled, now: float) -> None:
    """The client went away.  What was granted comes back by the front's word, or is void in time."""
    turn = ctx.state.turns.get(event.turn)
    if turn is not None:
        ctx.count("num_turns_cancelled")
        ctx.forget(turn)


def refused(ctx: Context, event: GrantRefused, now: float) -> None:
    """The front did not book the grant: the forecast was wrong, and the front is right."""
    turn = ctx.state.turns.get(event.turn)
    if turn is None or turn.lease != event.lease or turn.phase not in (Phase.GRANTED, Phase.ENDING):
        return
    ctx.count("num_grants_refused")
    replica = ctx.replica_of(turn)
    if replica is not None:
        replica.take_back(event.lease)
        replica.draining |= event.reason == DRAINING
        replica.doubted |= event.reason not in (DRAINING, ContextLengthExceeded.code)
        ctx.touch(replica)
    if event.prompt_tokens is not None:
        turn.prompt_tokens, turn.measured = event.prompt_tokens, True
    ctx.requeue(turn, now)


def lost(ctx: Context, event: StreamLost, now: float) -> None:
    """The stream broke or was preempted: the turn goes on elsewhere where it can."""
    turn = ctx.state.turns.get(event.turn)
    if turn is None or turn.lease != event.lease or turn.phase is Phase.WAITING:
        return
    replica = ctx.replica_of(turn)
    if replica is not None and event.lease in replica.granted:
        replica.take_back(event.lease)
        ctx.touch(replica)
    if not event.preempted:
        turn.num_lost += 1
        if replica is not None:
            turn.lost_boots[replica.boot] = now
            replica.doubted = True
            ctx.touch(replica)
    error = _cannot_go_on(ctx, turn, event)
    if error is not None:
        ctx.reject(turn, error, event.cause)
        return
    ctx.count("num_turns_replaced")
    _learn_progress(turn, event)
    ctx.requeue(turn, now)


def _learn_progress(turn: Turn, event: StreamLost) -> None:
    """What the stream brought before it broke.  A turn that had one has a 200."""
    turn.committed |= turn.phase is not Phase.GRANTED or event.generated_tokens > 0
    turn.generated_tokens = event.generated_tokens
    if event.prompt_tokens is not None:
        turn.prompt_tokens, turn.measured, turn.committed = event.prompt_tokens, True, True


def _cannot_go_on(ctx: Context, turn: Turn, event: StreamLost) -> HearthError | None:
    if event.generated_tokens and not event.continuable:
        return ReplicaLost("the answer had begun and cannot be continued from its text.")
    if turn.num_lost >= ctx.limits.max_losses:
        return ReplicaLost(f"it was lost {turn.num_lost} times.")
    return None
