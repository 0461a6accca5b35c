"""What is loaded next, and what makes room for it.

In this order, and in each group the one that has waited longest: what shall be kept warm; what turns wait
for and people ask for; what was declared, at the start, as far as it unloads nothing.  A layout that fits
once others are gone holds that memory against those after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from cluster.core.booking import held, held_by, keepers, living, releasing
from cluster.core.context import Context
from cluster.core.facts import Locality, Privacy
from cluster.core.ids import Cause, DeploymentId, NodeId
from cluster.core.layout import Layout, NodeFacts, NoRoom
from cluster.core.lifecycle import Life, Stage
from cluster.core.placement import group_of
from cluster.core.stages import begin_load, begin_unload
from cluster.core.state import Deployment, Turn
from cluster.core.swap import Held, Wanted, thrashing, value

Memory = dict[NodeId, int]


@dataclass(slots=True)
class Rooms:
    """Bytes by node: free `now`, and `soon`, when those on their way out are gone."""

    nodes: dict[NodeId, NodeFacts]
    now: Memory
    soon: Memory

    def take(self, layout: Layout, at_once: bool) -> None:
        for node, taken in held_by([layout]).items():
            self.soon[node] = self.soon.get(node, 0) - taken
            if at_once:
                self.now[node] = self.now.get(node, 0) - taken

    def free(self) -> Memory:
        """What is free now and promised to nobody."""
        return {node: min(self.now[node], self.soon[node]) for node in self.nodes}


@dataclass(frozen=True, slots=True)
class Want:
    """`wanted` None: it is loaded where that unloads nothing."""

    deployment: Deployment
    life: Life
    wanted: Wanted | None


def load_wanted(ctx: Context, cause: Cause, now: float) -> None:
    """Says Load for what is wanted and fits; closes what shall make room for the rest."""
    for life in ctx.state.lives():
        life.why_not, life.starts_at = "", None
    wants = _wants(ctx, now)
    if not wants:
        return
    nodes = living(ctx.state, ctx.limits.node_silent_s, now)
    booked, coming = held(ctx.state), releasing(ctx.state)
    free = {node: facts.models_bytes - booked[node] for node, facts in nodes.items()}
    rooms = Rooms(nodes, free, {node: free[node] + coming[node] for node in nodes})
    for want in wants:
        _serve(ctx, want, rooms, cause, now)


def hopeless(ctx: Context, life: Life, now: float) -> str:
    """Why the model fits nowhere, with all that may be unloaded gone; empty: it does, or nobody knows yet."""
    if ctx.state.loader_at is None or ctx.state.age_s(now) <= ctx.limits.node_silent_s:
        return ""
    found = best(ctx, life, now)
    if isinstance(found, Layout):
        return ""
    warm = sorted(each.declared.model for each in keepers(ctx.state, life))
    if not found.ever or not warm:
        return f"{life.declared.model} fits nowhere: {found}"
    return (
        f"{life.declared.model} does not fit beside what is kept warm ({', '.join(warm)}): {found.problem} "
        f"Unload one of those (`hearth unload {warm[0]}`), or take `keep_warm` from it."
    )


def best(ctx: Context, life: Life, now: float) -> Layout | NoRoom:
    """What the model will run as, on the nodes that are there or expected back."""
    return ctx.plans.find(ctx.state, life, living(ctx.state, ctx.limits.node_back_s, now))


def _serve(ctx: Context, want: Want, rooms: Rooms, cause: Cause, now: float) -> None:
    deployment, life = want.deployment, want.life
    layout = _find(ctx, life, rooms.nodes, rooms.free())
    if isinstance(layout, Layout):
        begin_load(ctx, deployment, layout, cause, now)
        rooms.take(layout, at_once=True)
        return
    if want.wanted is None:
        return
    life.why_not = str(layout)
    layout = _find(ctx, life, rooms.nodes, rooms.soon)
    if isinstance(layout, NoRoom):
        layout = _make_room(ctx, want.wanted, life, rooms, cause, now)
    if layout is not None:
        life.starts_at = now
        rooms.take(layout, at_once=False)


def _find(ctx: Context, life: Life, nodes: dict[NodeId, NodeFacts], free: Memory) -> Layout | NoRoom:
    """A layout; after a second failure rather not on the nodes where it failed."""
    if life.num_failures > 1:
        others = {node: facts for node, facts in nodes.items() if node not in life.avoid}
        elsewhere = ctx.plans.find(ctx.state, life, others, free)
        if isinstance(elsewhere, Layout):
            return elsewhere
    return ctx.plans.find(ctx.state, life, nodes, free)


def _make_room(
    ctx: Context, wanted: Wanted, life: Life, rooms: Rooms, cause: Cause, now: float
) -> Layout | None:
    """Closes the models that have to go, if it is time; the layout that then fits."""
    goings = ctx.swapping(
        wanted, _held(ctx, now), thrashing(ctx.state.swaps, now), ctx.limits.swap_wait_s, now
    )
    able = {going.deployment: going.at for going in goings if going.at < inf}

    def fitting(victims: list[DeploymentId]) -> Layout | None:
        layouts = [each.layout for each in ctx.state.lives() if each.declared.deployment in victims]
        freed = held_by(layouts)
        free = {node: rooms.soon[node] + freed[node] for node in rooms.nodes}
        found = _find(ctx, life, rooms.nodes, free)
        return found if isinstance(found, Layout) else None

    victims = _least(list(able), fitting)
    if victims is None:
        life.starts_at = None
        return None
    life.starts_at = max(able[each] for each in victims)
    if life.starts_at > now:
        return None
    layout = fitting(victims)
    assert layout is not None
    _close(ctx, life, victims, rooms, cause, now)
    return layout


def _least(
    candidates: list[DeploymentId], fitting: Callable[[list[DeploymentId]], Layout | None]
) -> list[DeploymentId] | None:
    """The first candidates that make enough room, without those that are not needed for it."""
    for count in range(1, len(candidates) + 1):
        if fitting(candidates[:count]) is not None:
            break
    else:
        return None
    chosen = candidates[:count]
    for each in reversed(candidates[:count]):
        fewer = [other for other in chosen if other != each]
        if fewer and fitting(fewer) is not None:
            chosen = fewer
    return chosen


def _close(
    ctx: Context, life: Life, victims: list[DeploymentId], rooms: Rooms, cause: Cause, now: float
) -> None:
    for name in victims:
        victim = ctx.state.deployments[name]
        assert victim.life is not None
        for node, freed in held_by([victim.life.layout]).items():
            rooms.soon[node] = rooms.soon.get(node, 0) + freed
        victim.life.swapped = True
        victim.life.totals["num_swapped"] += 1
        begin_unload(ctx, victim, cause, now)
    life.swapped = True
    ctx.count("num_swaps")
    ctx.state.swaps.append((now, life.load_s))


def _held(ctx: Context, now: float) -> list[Held]:
    return [
        _held_one(ctx, deployment, deployment.life, now)
        for deployment in ctx.state.deployments.values()
        if deployment.life is not None
        and deployment.life.stage is Stage.READY
        and not deployment.life.keep_warm
    ]


def _held_one(ctx: Context, deployment: Deployment, life: Life, now: float) -> Held:
    replicas = ctx.state.replicas_in(deployment.deployment)
    prefill_s = sum(
        replica.ledger.resident_tokens / max(replica.speed.prefill_tps, 1e-9) for replica in replicas
    )
    waiting = [turn.arrived_at for turn in ctx.queue.of(deployment.model)]
    return Held(
        deployment=deployment.deployment,
        priority=life.declared.priority,
        value=value(life.demand_now(now), life.load_s, prefill_s),
        ready_at=life.ready_at,
        used_at=life.busy_at,
        num_running=sum(len(replica.ledger.leases) for replica in replicas),
        oldest_arrival=min(waiting, default=None),
    )


def _wants(ctx: Context, now: float) -> list[Want]:
    waiting = list(ctx.queue)
    settled = now - ctx.state.nodes_at >= ctx.limits.settle_s
    found: list[tuple[int, float, Want]] = []
    for deployment in ctx.state.deployments.values():
        life = deployment.life
        if life is None or life.stage is not Stage.UNLOADED or deployment.failed or now < life.retry_at:
            continue
        if _has_a_twin(ctx, deployment):
            continue
        wanted = _wanted(ctx, deployment, life, waiting, now)
        if life.keep_warm and not life.dismissed and settled:
            since = wanted or Wanted(deployment.deployment, life.since, life.load_s, False, life.since)
            found.append((0, 0.0, Want(deployment, life, since)))
        elif wanted is not None:
            found.append((1, wanted.since, Want(deployment, life, wanted)))
        elif life.preload and settled:
            found.append((2, 0.0, Want(deployment, life, None)))
    return [want for _, _, want in sorted(found, key=lambda each: each[:2])]


def _has_a_twin(ctx: Context, deployment: Deployment) -> bool:
    """Whether another deployment of the same model is loaded, or on its way."""
    return any(
        other is not deployment
        and other.life is not None
        and other.life.stage in (Stage.LOADING, Stage.READY)
        for other in ctx.state.deployments_of(deployment.model)
    )


def _wanted(
    ctx: Context, deployment: Deployment, life: Life, waiting: list[Turn], now: float
) -> Wanted | None:
    turns = [turn for turn in waiting if _wants_it(ctx, turn, deployment)]
    if not turns and life.asked_at is None:
        return None
    if not turns:
        asked_at = life.asked_at if life.asked_at is not None else now
        return Wanted(deployment.deployment, asked_at, life.load_s, False, asked_at)
    since = min(turn.waiting_since for turn in turns)
    arrived_at = min(turn.arrived_at for turn in turns)
    return Wanted(deployment.deployment, max(since, life.closed_at), life.load_s, True, arrived_at)


def _wants_it(ctx: Context, turn: Turn, deployment: Deployment) -> bool:
    """Whether the turn waits for this deployment, having no other replica to go to."""
    arrived = turn.arrived
    if arrived.model != deployment.model:
        return False
    if arrived.privacy is Privacy.LOCAL_ONLY and deployment.locality is not Locality.LOCAL:
        return False
    group = group_of(turn, ctx.state.fleet(arrived.model))
    return all(replica.draining for replica in group.replicas)
