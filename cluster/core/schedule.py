"""From the queue to the replicas: place, measure, refuse, commit."""

from cluster.core.admission import Need, impossible, incapable, need_of, wants_measure
from cluster.core.commands import Evict, Measure, Place
from cluster.core.context import Context
from cluster.core.fleet import Fleet, Group
from cluster.core.ids import Cause, ReplicaId, SessionKey
from cluster.core.ledger import Reservation
from cluster.core.placement import Candidate, Offers, group_of
from cluster.core.state import Phase, Replica, Turn


def place_waiting(ctx: Context, cause: Cause, now: float) -> None:
    """Gives every waiting turn that can have one a place, in fair order.

    A turn that does not fit lets later ones go before it, so that memory does not lie idle, but not for
    longer than `skip_s`: then its replicas are kept for it until it fits.
    """
    kept: frozenset[ReplicaId] = frozenset()
    for number, turn in enumerate(ctx.queue):
        fleet = ctx.state.fleet(turn.arrived.model)
        group = group_of(turn, fleet)
        need = need_of(turn, ctx.memory)
        if not _settled(ctx, turn, need, fleet, group, cause, now):
            turn.stuck = None
            continue
        barred = kept | _lost_lately(ctx, turn, group, now)
        if group.names <= barred:
            turn.stuck = None
        else:
            offers = Offers(turn, need, fleet, group, ctx.state.homes, barred & group.names)
            chosen = _chosen(ctx, turn, offers)
            if chosen is not None:
                _place(ctx, turn, chosen, cause, now)
                continue
        if number < ctx.limits.measure_ahead and turn.measuring_since is None:
            _measure_ahead(ctx, turn, group, barred, cause, now)
        if turn.skipped_at is None:
            turn.skipped_at = now
        elif now - turn.skipped_at > ctx.limits.skip_s:
            kept |= group.names
    if not ctx.queue:
        ctx.queue.rest()
    ctx.touched.clear()
    ctx.dirty = False


def _chosen(ctx: Context, turn: Turn, offers: Offers) -> Candidate | None:
    """What the policy says.  A turn that no replica could take at the last look is looked at only where
    something has changed since."""
    need, group = offers.need, offers.group
    sought = need.prompt_tokens, need.output_tokens, group
    if turn.stuck is not None and turn.stuck[:2] == sought[:2] and turn.stuck[2] is group:
        changed = (each for name, each in ctx.touched.items() if name in group.names)
        if all(offers.at(replica) is None for replica in changed):
            return None
    chosen = ctx.policy(turn, offers)
    turn.stuck = sought if chosen is None and not offers.kept and not offers else None
    return chosen


def _settled(
    ctx: Context, turn: Turn, need: Need, fleet: Fleet, group: Group, cause: Cause, now: float
) -> bool:
    """Whether the turn may be placed now: it is possible at all, and its size is known well enough."""
    error = incapable(turn, fleet) or impossible(turn, group)
    if error is not None and not ctx.state.is_loading(turn.arrived.model):
        ctx.reject(turn, error, cause)
        return False
    if turn.measuring_since is not None and now - turn.measuring_since >= ctx.limits.measure_s:
        turn.measured, turn.measuring_since = True, None
    able = wants_measure(turn, need, group)
    if able is not None and turn.measuring_since is None:
        _measure(ctx, turn, able, cause, now)
    return able is None


def _measure_ahead(
    ctx: Context, turn: Turn, group: Group, barred: frozenset[ReplicaId], cause: Cause, now: float
) -> None:
    """Uses the wait to learn the exact size; the turn may be placed before that is told."""
    if turn.measured:
        return
    able = (each for each in group.measurers if not (each.draining or each.doubted or each.replica in barred))
    found = next(able, None)
    if found is not None:
        _measure(ctx, turn, found, cause, now)


def _measure(ctx: Context, turn: Turn, able: Replica, cause: Cause, now: float) -> None:
    turn.measuring_since = now
    arrived, ready = turn.arrived, able.ready
    ctx.emit(Measure(turn.turn, arrived.gateway, arrived.session, ready.replica, ready.endpoint, cause))


def _lost_lately(ctx: Context, turn: Turn, group: Group, now: float) -> frozenset[ReplicaId]:
    """The replicas that lost this turn just now."""
    if not turn.lost_boots:
        return frozenset()
    retry_s, lost = ctx.limits.lost_retry_s, turn.lost_boots
    return frozenset(
        each.replica for each in group.replicas if each.boot in lost and now - lost[each.boot] < retry_s
    )


def _place(ctx: Context, turn: Turn, chosen: Candidate, cause: Cause, now: float) -> None:
    replica, need = chosen.replica, chosen.need
    for session in chosen.evict:
        evict(ctx, replica, session, cause)
    ctx.queue.leave(turn)
    turn.lease = ctx.new_lease()
    turn.replica, turn.phase = replica.replica, Phase.GRANTED
    turn.skipped_at = turn.measuring_since = None
    replica.ledger.book(Reservation(turn.lease, turn.turn, turn.arrived.session, need.tokens))
    replica.granted[turn.lease] = turn.granted_at = now
    if need.open_ended:
        replica.growing.add(turn.lease)
    ctx.touch(replica)
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
    ctx.touch(replica)
    ctx.count("num_evictions")
    ctx.emit(Evict(replica.replica, replica.boot, session, cause))
