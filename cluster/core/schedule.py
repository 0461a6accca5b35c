"""From the queue to the replicas: place, measure, refuse, commit."""

from cluster.core.admission import Need, impossible, incapable, measurer, need_of, wants_measure
from cluster.core.commands import Evict, Measure, Place
from cluster.core.context import Context
from cluster.core.ids import Cause, SessionKey
from cluster.core.ledger import Reservation
from cluster.core.placement import Candidate, candidates, suitable
from cluster.core.queue import in_order
from cluster.core.state import Phase, Replica, Turn


def place_waiting(ctx: Context, cause: Cause, now: float) -> None:
    """Gives every waiting turn that can have one a place, in fair order.

    A turn that does not fit lets later ones go before it, so that memory does not lie idle, but not for
    longer than `skip_s`: then its replicas are kept for it until it fits.
    """
    kept: set[str] = set()
    for number, turn in enumerate(in_order(ctx.state.turns.values())):
        if not _settled(ctx, turn, cause, now):
            continue
        replicas = suitable(turn, ctx.state.replicas_of(turn.arrived.model))
        free = [
            each for each in replicas if each.replica not in kept and not _lost_there(ctx, turn, each, now)
        ]
        chosen = ctx.policy(turn, candidates(turn, need_of(turn, ctx.memory), free))
        if chosen is not None:
            _place(ctx, turn, chosen, cause, now)
            continue
        if number < ctx.limits.measure_ahead:
            _measure(ctx, turn, measurer(turn, replicas), cause, now)
        if turn.skipped_at is None:
            turn.skipped_at = now
        elif now - turn.skipped_at > ctx.limits.skip_s:
            kept.update(replica.replica for replica in replicas)
    if all(turn.phase is not Phase.WAITING for turn in ctx.state.turns.values()):
        ctx.queue.rest()
    ctx.dirty = False


def _settled(ctx: Context, turn: Turn, cause: Cause, now: float) -> bool:
    """Whether the turn may be placed now: it is possible at all, and its size is known well enough."""
    of_model = ctx.state.replicas_of(turn.arrived.model)
    replicas = suitable(turn, of_model)
    error = incapable(turn, of_model) or impossible(turn, replicas)
    if error is not None and not ctx.state.is_loading(turn.arrived.model):
        ctx.reject(turn, error, cause)
        return False
    if turn.measuring_since is not None and now - turn.measuring_since < ctx.limits.measure_s:
        return False
    if turn.measuring_since is not None:
        turn.measured, turn.measuring_since = True, None
        return True
    able = wants_measure(turn, need_of(turn, ctx.memory), replicas)
    _measure(ctx, turn, able, cause, now)
    return able is None


def _measure(ctx: Context, turn: Turn, able: Replica | None, cause: Cause, now: float) -> None:
    if able is None:
        return
    turn.measuring_since = now
    arrived, ready = turn.arrived, able.ready
    ctx.emit(Measure(turn.turn, arrived.gateway, arrived.session, ready.replica, ready.endpoint, cause))


def _lost_there(ctx: Context, turn: Turn, replica: Replica, now: float) -> bool:
    """Whether it lost this turn just now."""
    lost_at = turn.lost_boots.get(replica.boot)
    return lost_at is not None and now - lost_at < ctx.limits.lost_retry_s


def _place(ctx: Context, turn: Turn, chosen: Candidate, cause: Cause, now: float) -> None:
    replica, need = chosen.replica, chosen.need
    for session in chosen.evict:
        evict(ctx, replica, session, cause)
    turn.lease = ctx.new_lease()
    turn.replica, turn.phase, turn.skipped_at = replica.replica, Phase.GRANTED, None
    replica.ledger.book(Reservation(turn.lease, turn.turn, turn.arrived.session, need.tokens))
    replica.granted[turn.lease] = turn.granted_at = now
    if need.open_ended:
        replica.growing.add(turn.lease)
    ctx.queue.advance(turn)
    ctx.count("num_turns_placed")
    if chosen.resident_tokens:
        ctx.count("num_affinity_hits")
    ctx.emit(_grant(turn, replica, need, cause))


def _grant(turn: Turn, replica: Replica, need: Need, cause: Cause) -> Place:
    assert turn.lease is not None
    ready = replica.ready
    return Place(
        turn=turn.turn,
        gateway=turn.arrived.gateway,
        session=turn.arrived.session,
        lease=turn.lease,
        replica=ready.replica,
        boot=ready.boot,
        node=ready.node,
        engine=ready.engine,
        endpoint=ready.endpoint,
        reserved_tokens=need.tokens,
        cause=cause,
    )


def evict(ctx: Context, replica: Replica, session: SessionKey, cause: Cause) -> None:
    """Forgets an idle session here and tells its front to."""
    replica.ledger.forget(session)
    ctx.count("num_evictions")
    ctx.emit(Evict(replica.replica, replica.boot, session, cause))
