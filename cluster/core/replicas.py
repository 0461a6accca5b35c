"""What fronts and nodes say of replicas and leases.  A front's word about its own book is always right."""

from cluster.core import life
from cluster.core.commands import Drain, Extend, Preempt
from cluster.core.context import Context
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentWithdrawn,
    DrainAsked,
    ExtensionAsked,
    LeaseEnded,
    LeaseStarted,
    NodeGone,
    NodeReport,
    NodeUp,
    ReplicaDraining,
    ReplicaGone,
    ReplicaReady,
    ReplicaReport,
)
from cluster.core.eviction import victims_for_tokens
from cluster.core.facts import LeaseView, ResidentView
from cluster.core.fleet import ForecastLedger
from cluster.core.ids import BootId, LeaseId, NodeId, ReplicaId
from cluster.core.ledger import Ledger, Reservation
from cluster.core.schedule import evict
from cluster.core.state import Deployment, Node, Phase, Replica


def node_up(ctx: Context, event: NodeUp, now: float) -> None:
    """Said once by each node to each router, and again where what it offers has changed."""
    new = _is_away(ctx, event.node, now)
    ctx.state.nodes[event.node] = Node(event.node, event.memory_bytes, 0, now, event.facts)
    life.node_changed(ctx)
    if new:
        life.node_came(ctx, now)


def _is_away(ctx: Context, name: NodeId, now: float) -> bool:
    node = ctx.state.nodes.get(name)
    return node is None or now - node.last_seen > ctx.limits.node_silent_s


def node_report(ctx: Context, event: NodeReport, now: float) -> None:
    node = ctx.state.nodes.get(event.node)
    if node is not None:
        if _is_away(ctx, event.node, now):
            life.node_came(ctx, now)
        node.memory_free_bytes, node.last_seen = event.memory_free_bytes, now


def node_gone(ctx: Context, event: NodeGone, now: float) -> None:
    ctx.state.nodes.pop(event.node, None)
    for replica in list(ctx.state.replicas.values()):
        if replica.ready.node == event.node:
            silence(ctx, replica, now)


def declared(ctx: Context, event: DeploymentDeclared, now: float) -> None:
    lived = life.declared(ctx, event, now)
    known = ctx.state.deployments.get(event.deployment)
    deployment = Deployment(event.deployment, event.model, event.locality, life=lived)
    if known is not None and lived is not None:
        deployment.start = known.start
    ctx.state.declare(deployment)


def withdrawn(ctx: Context, event: DeploymentWithdrawn, now: float) -> None:
    deployment = ctx.state.deployments.get(event.deployment)
    if deployment is not None:
        deployment.failed = event.reason
        life.withdrawn(ctx, event, now)


def drain_asked(ctx: Context, event: DrainAsked, now: float) -> None:
    replica = ctx.state.replicas.get(event.replica)
    if replica is not None:
        replica.draining, replica.drain_asked = True, event.cause
        ctx.touch(replica)
        _tell_drain(ctx, replica)
        life.replica_closed(ctx, replica, event.cause, now)


def _tell_drain(ctx: Context, replica: Replica) -> None:
    """Said again with every report until the front has heard it: a command may be lost."""
    if replica.drain_asked is not None:
        ctx.emit(Drain(replica.replica, replica.boot, replica.drain_asked))


def ready(ctx: Context, event: ReplicaReady, now: float) -> None:
    """A new boot replaces the old one with all it held; a known boot is told again what it has."""
    known = ctx.state.replicas.get(event.replica)
    ctx.state.silent.pop(event.replica, None)
    if known is not None and known.boot != event.boot:
        remove(ctx, known, now)
        known = None
    if known is None:
        ledger = ForecastLedger(event.capacity, event.replica, ctx.state.homes)
        replica = Replica(event, ledger, event.speed, now)
        ctx.state.add(replica)
    else:
        replica = known
    deployment = ctx.state.deployments.get(event.deployment)
    if deployment is not None and deployment.life is None:
        deployment.failed, deployment.start = "", None
    _believe(ctx, replica, event.leases, event.resident, (), now)


def report(ctx: Context, event: ReplicaReport, now: float) -> None:
    replica = _booted(ctx, event.replica, event.boot) or _heard_again(ctx, event, now)
    if replica is not None:
        _believe(ctx, replica, event.leases, event.resident, event.ended, now)
        _tell_drain(ctx, replica)


def _heard_again(ctx: Context, event: ReplicaReport, now: float) -> Replica | None:
    """The replica that was given up for its silence: its front does not know that it was."""
    replica = ctx.state.silent.get(event.replica)
    if replica is None or replica.boot != event.boot:
        return None
    ctx.state.silent.pop(event.replica)
    replica.heard_again(now)
    ctx.state.add(replica)
    return replica


def _booted(ctx: Context, name: ReplicaId, boot: BootId) -> Replica | None:
    """The replica, if the word is of the boot that is known: words of earlier ones are stale."""
    replica = ctx.state.replicas.get(name)
    return replica if replica is not None and replica.boot == boot else None


def _believe(
    ctx: Context,
    replica: Replica,
    leases: tuple[LeaseView, ...],
    resident: tuple[ResidentView, ...],
    ended: tuple[LeaseId, ...],
    now: float,
) -> None:
    """Makes the forecast equal to the front's book, plus the grants the front has not seen yet."""
    replica.last_seen, replica.doubted = now, False
    ledger = replica.ledger
    theirs = {view.lease for view in leases}
    for lease in ledger.leases.keys() - theirs:
        if lease not in replica.granted or lease in ended:
            _lease_over(ctx, replica, lease, 0, now)
    if _agrees(ledger, leases, resident):
        for view in leases:
            _started(ctx, replica, view.lease, now)
    else:
        _rewrite(ctx, replica, leases, resident, now)
    settle(ctx, replica)


def _agrees(ledger: Ledger, leases: tuple[LeaseView, ...], resident: tuple[ResidentView, ...]) -> bool:
    """Whether the front's book changes nothing: as a rule it does not."""
    if ledger.free_tokens < 0 or ledger.free_slots < 0:
        return False
    for view in leases:
        mine = ledger.leases.get(view.lease)
        if mine is None or (mine.turn, mine.session) != (view.turn, view.session):
            return False
        if ledger.blocks(view.reserved_tokens) > mine.reserved_tokens:
            return False
    num_found = 0
    for idle in resident:
        known = ledger.resident.get(idle.session)
        if known is not None and known.tokens == ledger.blocks(idle.tokens):
            num_found += 1
        elif not ledger.runs(idle.session):
            return False
    return num_found == len(ledger.resident)


def _rewrite(
    ctx: Context,
    replica: Replica,
    leases: tuple[LeaseView, ...],
    resident: tuple[ResidentView, ...],
    now: float,
) -> None:
    ledger = replica.ledger
    used = {idle.session: idle.last_used for idle in ledger.resident.values()}
    ledger.forget_idle()
    for view in leases:
        _adopt(ctx, replica, view, now)
    for idle in resident:
        if not ledger.runs(idle.session):
            ledger.keep(idle.session, idle.tokens, used.get(idle.session, now))


def _adopt(ctx: Context, replica: Replica, view: LeaseView, now: float) -> None:
    """A lease of the front's book; what was granted on top and not confirmed yet stays reserved."""
    mine = replica.ledger.leases.get(view.lease)
    reserved = max(view.reserved_tokens, mine.reserved_tokens if mine else 0)
    told = Reservation(view.lease, view.turn, view.session, replica.ledger.blocks(reserved))
    if mine != told:
        replica.ledger.adopt(told)
    _started(ctx, replica, view.lease, now)


def _started(ctx: Context, replica: Replica, lease: LeaseId, now: float) -> None:
    """The front has booked the lease; a grant the turn got meanwhile elsewhere is taken back."""
    replica.granted.pop(lease, None)
    turn = ctx.state.turns.get(replica.ledger.leases[lease].turn)
    if turn is None or (turn.lease == lease and turn.phase is not Phase.GRANTED and turn.replica):
        return
    other = ctx.replica_of(turn)
    if other is not None and turn.lease is not None and turn.lease != lease:
        if turn.lease not in other.granted:
            return
        other.take_back(turn.lease)
        ctx.touch(other)
    ctx.queue.leave(turn)
    turn.phase, turn.replica, turn.lease = Phase.RUNNING, replica.replica, lease
    turn.started_at, turn.committed = now, True


def settle(ctx: Context, replica: Replica) -> None:
    """Notes whether the front holds more than the forecast had room for; then nothing is granted there."""
    ledger = replica.ledger
    replica.surprised = ledger.free_tokens < 0 or ledger.free_slots < 0
    ctx.touch(replica)
    ctx.dirty = True


def draining(ctx: Context, event: ReplicaDraining, now: float) -> None:
    replica = _booted(ctx, event.replica, event.boot)
    if replica is not None:
        replica.draining, replica.drain_asked = True, None
        ctx.touch(replica)


def gone(ctx: Context, event: ReplicaGone, now: float) -> None:
    replica = _booted(ctx, event.replica, event.boot)
    if replica is not None:
        if not replica.draining:
            ctx.count("num_replicas_lost")
        remove(ctx, replica, now)
    kept = ctx.state.silent.get(event.replica)
    if kept is not None and kept.boot == event.boot:
        ctx.state.silent.pop(event.replica)


def silence(ctx: Context, replica: Replica, now: float) -> None:
    """Gives a replica up until it is heard again."""
    remove(ctx, replica, now)
    ctx.state.silent[replica.replica] = replica


def remove(ctx: Context, replica: Replica, now: float) -> None:
    """Forgets a replica.  Its turns' gateways see their streams break and say so, or see them whole."""
    ctx.state.drop(replica)
    for turn in ctx.state.turns.values():
        if turn.replica == replica.replica:
            turn.replica = None
            if turn.phase is Phase.RUNNING:
                turn.phase, turn.ended_at = Phase.ENDING, now


def lease_started(ctx: Context, event: LeaseStarted, now: float) -> None:
    replica = _booted(ctx, event.replica, event.boot)
    if replica is None:
        return
    mine = replica.ledger.leases.get(event.lease)
    if mine is None:
        return
    view = LeaseView(mine.lease, mine.turn, mine.session, event.reserved_tokens)
    _adopt(ctx, replica, view, now)
    turn = ctx.state.turns.get(mine.turn)
    if turn is not None:
        turn.prompt_tokens, turn.measured = event.prompt_tokens, True
    settle(ctx, replica)


def extension_asked(ctx: Context, event: ExtensionAsked, now: float) -> None:
    """More room for a growing answer: from what is free, then from idle sessions, else it moves on."""
    replica = _booted(ctx, event.replica, event.boot)
    if replica is None or event.lease not in replica.ledger.leases:
        return
    ledger = replica.ledger
    asked = min(event.reserved_tokens, ledger.capacity.kv_tokens, ledger.capacity.window_tokens)
    asked = max(asked, ledger.leases[event.lease].reserved_tokens)
    chosen = victims_for_tokens(ledger, ledger.room_to_grow(event.lease, asked))
    if chosen is None:
        ctx.count("num_preemptions")
        ctx.emit(Preempt(replica.replica, replica.boot, event.lease, event.cause))
        return
    for session in chosen:
        evict(ctx, replica, session, event.cause)
    ledger.resize(event.lease, asked)
    ctx.touch(replica)
    ctx.count("num_extensions")
    ctx.emit(Extend(replica.replica, replica.boot, event.lease, asked, event.cause))


def lease_ended(ctx: Context, event: LeaseEnded, now: float) -> None:
    replica = _booted(ctx, event.replica, event.boot)
    if replica is not None and event.lease in replica.ledger.leases:
        replica.doubted = False
        _lease_over(ctx, replica, event.lease, event.resident_tokens, now)
        settle(ctx, replica)


def _lease_over(ctx: Context, replica: Replica, lease: LeaseId, resident: int, now: float) -> None:
    turn = ctx.state.turns.get(replica.ledger.leases[lease].turn)
    replica.ledger.end(lease, resident, now)
    replica.granted.pop(lease, None)
    replica.growing.discard(lease)
    if turn is not None and turn.lease == lease:
        turn.phase, turn.ended_at = Phase.ENDING, now


def void_grants(ctx: Context, now: float) -> None:
    """Takes back what was granted long ago and never booked; its turn waits again."""
    for replica in ctx.state.replicas.values():
        for lease, granted_at in list(replica.granted.items()):
            if now - granted_at >= ctx.limits.grant_void_s:
                replica.take_back(lease)
                ctx.count("num_grants_void")
                settle(ctx, replica)
    for turn in ctx.state.turns.values():
        granted_at = turn.granted_at if turn.phase is Phase.GRANTED else None
        if granted_at is not None and now - granted_at >= ctx.limits.grant_void_s:
            turn.committed = True  # by its gateway, which waits no longer for a router's word; or it runs
            ctx.requeue(turn, now)
