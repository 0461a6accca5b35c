"""The invariants of the machine, as code.  Run after every test, every simulated step, and when idle."""

from cluster.core.admission import need_of
from cluster.core.booking import held
from cluster.core.context import Context
from cluster.core.lifecycle import Life, Stage
from cluster.core.placement import Offers, group_of
from cluster.core.state import Deployment, Phase, Replica, Turn


def check_state(ctx: Context) -> None:
    """Raises AssertionError naming the first broken invariant."""
    for replica in ctx.state.replicas.values():
        _check_replica(replica)
    for turn in ctx.state.turns.values():
        _check_turn(ctx, turn)
    waiting = sum(turn.phase is Phase.WAITING for turn in ctx.state.turns.values())
    again = sum(turn.committed or turn.num_lost > 0 for turn in ctx.state.turns.values())
    assert waiting <= ctx.limits.queue + again + _num_requeued(ctx), "the queue is over its bound"
    _check_order(ctx)
    for deployment in ctx.state.deployments.values():
        if deployment.life is not None:
            _check_life(deployment, deployment.life)
    _check_memory(ctx)
    assert not ctx.commands, "commands were left behind"


def _check_order(ctx: Context) -> None:
    """What is kept in order to find things is what looking through everything finds."""
    state = ctx.state
    assert {turn.turn for turn in ctx.queue} == {
        turn.turn for turn in state.turns.values() if turn.phase is Phase.WAITING
    }, "the queue does not hold those who wait"
    ranks = [(turn.start_tag, turn.arrived_at, turn.turn) for turn in ctx.queue]
    assert ranks == sorted(ranks), "the queue is out of order"
    state.homes.check(state.replicas)
    for model, fleet in state.fleets.items():
        assert list(fleet.replicas.values()) == [
            replica for replica in state.replicas.values() if replica.ready.model == model
        ], f"the fleet of {model} is not complete"
        is_open = {name for name, replica in fleet.replicas.items() if replica.is_open}
        assert fleet.open.keys() == is_open, f"the open replicas of {model} are not those"
    for turn in ctx.queue:
        _check_stuck(ctx, turn)


def _check_stuck(ctx: Context, turn: Turn) -> None:
    """No replica that nobody has touched could take what none could take at the last look."""
    fleet = ctx.state.fleet(turn.arrived.model)
    if turn.stuck is None or turn.stuck[2] is not group_of(turn, fleet):
        return
    need = need_of(turn, ctx.memory)
    if (need.prompt_tokens, need.output_tokens) != turn.stuck[:2]:
        return
    offers = Offers(turn, need, fleet, turn.stuck[2], ctx.state.homes)
    missed = [each.replica.replica for each in offers if each.replica.replica not in ctx.touched]
    assert not missed, f"{turn.turn} could go to {missed}"


def _check_memory(ctx: Context) -> None:
    """No node is given more than it has by us; a report may have said that it holds more."""
    booked = held(ctx.state)
    for node in ctx.state.nodes.values():
        most = node.facts.models_bytes if node.facts is not None else 0
        over = booked[node.node] - most
        assert over <= 0 or node.surprised, f"{node.node} is over-committed by {over} bytes"


def _check_life(deployment: Deployment, life: Life) -> None:
    name, stage = deployment.deployment, life.stage
    holds = stage not in (Stage.UNLOADED, Stage.FAILED)
    assert (life.layout is not None) == holds, f"{name} is {stage} with {life.layout}"
    assert holds or not life.named, f"{name} is {stage} and a report names it"
    assert stage is not Stage.FAILED or deployment.failed, f"{name} failed without a reason"
    assert stage is not Stage.UNLOADED or not deployment.failed, f"{name} will be loaded and has failed"


def _num_requeued(ctx: Context) -> int:
    """Turns that were placed once are taken back into a full queue: a turn is never lost for a bound."""
    return ctx.counts["num_grants_refused"] + ctx.counts["num_grants_void"] + ctx.counts["num_turns_replaced"]


def _check_replica(replica: Replica) -> None:
    ledger = replica.ledger
    ledger.recount()
    if not replica.surprised:
        ledger.check()
    assert replica.granted.keys() <= ledger.leases.keys(), "a grant that is not booked"
    assert replica.growing <= ledger.leases.keys(), "a growing lease that is not booked"


def _check_turn(ctx: Context, turn: Turn) -> None:
    replica = ctx.replica_of(turn)
    match turn.phase:
        case Phase.WAITING:
            assert turn.lease is None, f"{turn.turn} waits and has a lease"
            assert turn.replica is None, f"{turn.turn} waits and has a replica"
        case Phase.GRANTED | Phase.RUNNING if replica is not None:
            assert turn.lease in replica.ledger.leases, f"{turn.turn} is {turn.phase} without a lease"
            granted = turn.lease in replica.granted
            assert granted == (turn.phase is Phase.GRANTED), f"{turn.turn} is {turn.phase}"
        case _:
            assert turn.lease is not None, f"{turn.turn} is {turn.phase} and never had a lease"
