"""The machine's state as people see it."""

from cluster.core.admission import need_of
from cluster.core.booking import held
from cluster.core.context import Context
from cluster.core.models import model_of
from cluster.core.planned import planned
from cluster.core.state import Replica, State
from cluster.core.view import (
    Counters,
    NodeView,
    PoolView,
    ReplicaStatus,
    SessionStatus,
    WaitingTurn,
)
from cluster.core.waiting import estimate_queue


def view_of(ctx: Context, now: float) -> PoolView:
    state, booked = ctx.state, held(ctx.state)
    return PoolView(
        epoch=ctx.epoch,
        nodes=tuple(
            NodeView(
                node=node.node,
                memory_bytes=node.memory_bytes,
                memory_free_bytes=node.memory_free_bytes,
                models_bytes=node.facts.models_bytes if node.facts is not None else 0,
                held_bytes=booked[node.node],
                reserve_bytes=node.facts.reserve_bytes if node.facts is not None else 0,
                num_gpus=node.facts.num_gpus if node.facts is not None else 0,
                chip=node.facts.chip if node.facts is not None else "",
            )
            for node in state.nodes.values()
            if now - node.last_seen <= ctx.limits.node_silent_s
        ),
        replicas=tuple(_replica(state, replica) for replica in state.replicas.values()),
        models=tuple(model_of(ctx, model, now) for model in state.models()),
        sessions=tuple(session for replica in state.replicas.values() for session in _sessions(replica, now)),
        queue=_queue(ctx, now),
        counters=Counters(**ctx.counts),
    )


def _replica(state: State, replica: Replica) -> ReplicaStatus:
    ready, ledger = replica.ready, replica.ledger
    meant = planned(state, ready.deployment)
    return ReplicaStatus(
        replica=ready.replica,
        deployment=ready.deployment,
        node=ready.node,
        model=ready.model,
        engine=ready.engine,
        locality=ready.locality,
        state="draining" if replica.draining else "ready",
        capacity=ready.capacity,
        speed=replica.speed,
        features=ready.features,
        num_leases=len(ledger.leases),
        reserved_tokens=ledger.reserved_tokens,
        resident_tokens=ledger.resident_tokens,
        num_resident=len(ledger.resident),
        weights_bytes=ready.weights_bytes,
        kv_bytes=ready.kv_bytes,
        planned_kv_tokens=meant.kv_tokens if meant is not None else 0,
        planned_bytes=meant.held_bytes if meant is not None else 0,
    )


def _sessions(replica: Replica, now: float) -> list[SessionStatus]:
    running = [
        SessionStatus(
            str(lease.session), lease.session.tenant, replica.replica, lease.reserved_tokens, True, 0.0
        )
        for lease in replica.ledger.leases.values()
    ]
    idle = [
        SessionStatus(
            str(each.session), each.session.tenant, replica.replica, each.tokens, False, now - each.last_used
        )
        for each in replica.ledger.resident.values()
    ]
    return running + idle


def _queue(ctx: Context, now: float) -> tuple[WaitingTurn, ...]:
    waiting = list(ctx.queue)
    estimates: dict[str, float] = {}
    for model in {turn.arrived.model for turn in waiting}:
        estimates |= estimate_queue(ctx, model, now)
    return tuple(
        WaitingTurn(
            turn=turn.turn,
            session=str(turn.arrived.session),
            model=turn.arrived.model,
            position=position,
            waited_s=now - turn.arrived_at,
            estimate_s=estimates[turn.turn],
            tokens=need_of(turn, ctx.memory).tokens,
        )
        for position, turn in enumerate(waiting, start=1)
    )
