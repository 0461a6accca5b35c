"""What time alone brings about."""

from cluster.core.context import Context
from cluster.core.events import Tick
from cluster.core.replicas import silence, void_grants
from cluster.core.state import Phase


def tick(ctx: Context, event: Tick, now: float) -> None:
    """Ends what is silent, takes back what is void, tells those who wait.  About four times a second."""
    _silent_replicas(ctx, now)
    _silent_gateways(ctx, now)
    void_grants(ctx, now)
    _lost_before(ctx)
    _long_silent(ctx, now)
    _without_last_word(ctx, now)


def _silent_replicas(ctx: Context, now: float) -> None:
    for replica in list(ctx.state.replicas.values()):
        if now - replica.last_seen > ctx.limits.replica_silent_s:
            silence(ctx, replica, now)


def _silent_gateways(ctx: Context, now: float) -> None:
    """The turns of a dead gateway have nobody to be answered to; their leases end at the fronts."""
    for gateway, seen in list(ctx.state.gateways.items()):
        if now - seen <= ctx.limits.gateway_silent_s:
            continue
        ctx.state.gateways.pop(gateway)
        for turn in list(ctx.state.turns.values()):
            if turn.arrived.gateway == gateway:
                ctx.count("num_turns_cancelled")
                ctx.forget(turn)


def _lost_before(ctx: Context) -> None:
    """A boot that lost a turn is tried again in time, whether or not anything happens there."""
    ctx.dirty |= any(turn.lost_boots and turn.phase is Phase.WAITING for turn in ctx.state.turns.values())


def _long_silent(ctx: Context, now: float) -> None:
    for node in list(ctx.state.nodes.values()):
        if now - node.last_seen > ctx.limits.forget_s:
            ctx.state.nodes.pop(node.node)
    for replica in list(ctx.state.silent.values()):
        if now - replica.last_seen > ctx.limits.forget_s:
            ctx.state.silent.pop(replica.replica)


def _without_last_word(ctx: Context, now: float) -> None:
    """A turn whose lease is over, and of which its living gateway says nothing more."""
    for turn in list(ctx.state.turns.values()):
        ended = turn.ended_at if turn.phase is Phase.ENDING else None
        if ended is not None and now - ended > ctx.limits.forget_s:
            ctx.count("num_turns_cancelled")
            ctx.forget(turn)
