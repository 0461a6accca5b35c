"""One model as people see it, whatever its deployments are."""

from collections import Counter

from cluster.core.context import Context
from cluster.core.expect import no_room
from cluster.core.facts import Feature, Locality
from cluster.core.layout import Layout
from cluster.core.lifecycle import Life, Stage
from cluster.core.loads import best
from cluster.core.state import Deployment, Phase, Replica, Turn
from cluster.core.view import LoadTotals, ModelStatus


def model_of(ctx: Context, model: str, now: float) -> ModelStatus:
    replicas = ctx.state.replicas_of(model)
    declared = ctx.state.deployments_of(model)
    life = _life_shown(declared)
    layout = life.layout if life is not None else None
    ahead = _ahead(ctx, replicas, life, now)
    start = next((each.start for each in declared if each.start is not None), None)
    state = _state(replicas, declared, life)
    localities = [replica.ready.locality for replica in replicas] or [each.locality for each in declared]
    turns = [turn for turn in ctx.state.turns.values() if turn.arrived.model == model]
    return ModelStatus(
        model=model,
        state=state,
        locality=Locality.HOSTED if Locality.HOSTED in localities else Locality.LOCAL,
        window_tokens=max((replica.largest_tokens for replica in replicas), default=ahead[0]),
        features=frozenset[Feature]().union(ahead[1], *(replica.ready.features for replica in replicas)),
        num_replicas=len(replicas),
        reason=_reason(ctx, model, state, declared, life, now),
        engine=_engine(replicas, layout),
        quantisation=layout.quantisation if layout is not None else "",
        nodes=layout.nodes if layout is not None else (),
        memory_bytes=layout.memory_bytes if layout is not None else 0,
        tensor_parallel=layout.tensor_parallel if layout is not None else 1,
        pipeline_parallel=layout.pipeline_parallel if layout is not None else 1,
        flags=layout.flags if layout is not None else frozenset(),
        num_slots=_num_slots(replicas, layout),
        num_checkpoints=layout.num_checkpoints if layout is not None else None,
        stage=start.stage if start is not None and state == Stage.LOADING else "",
        fraction=start.fraction if start is not None and state == Stage.LOADING else None,
        keep_warm=life.keep_warm if life is not None else False,
        managed=life is not None,
        priority=life.declared.priority if life is not None else 0,
        num_running=sum(len(replica.ledger.leases) for replica in replicas),
        num_waiting=sum(map(_waits, turns)),
        node_bytes=tuple(shard.memory_bytes for shard in layout.shards) if layout is not None else (),
        wanted=life is not None and (life.asked_at is not None or any(map(_waits, turns))),
        fits=life is None or layout is not None or not no_room(ctx, model, now),
        totals=_totals(declared),
    )


def _ahead(
    ctx: Context, replicas: list[Replica], life: Life | None, now: float
) -> tuple[int, frozenset[Feature]]:
    """Window and features that a model which no replica answers for will have, as far as its files tell."""
    wish = life.declared.wish if life is not None else None
    if replicas or life is None or wish is None:
        return 0, frozenset()
    layout = life.layout or best(ctx, life, now)
    embeds = any(variant.embeds for variant in wish.variants)
    feature = Feature.EMBEDDINGS if embeds else Feature.CHAT
    return layout.window_tokens if isinstance(layout, Layout) else 0, frozenset({feature})


def _totals(declared: list[Deployment]) -> LoadTotals:
    totals = Counter[str]()
    for each in declared:
        totals.update(each.life.totals if each.life is not None else {})
    return LoadTotals(**totals)


def _waits(turn: Turn) -> bool:
    return turn.phase is Phase.WAITING


def _life_shown(declared: list[Deployment]) -> Life | None:
    """Of several, one that holds memory."""
    lives = [each.life for each in declared if each.life is not None]
    return max(lives, key=lambda life: life.layout is not None, default=None)


def _state(replicas: list[Replica], declared: list[Deployment], life: Life | None) -> str:
    if any(not replica.draining for replica in replicas):
        return Stage.READY.value
    if life is not None:
        return life.stage.value
    if replicas:
        return Stage.READY.value
    failed = any(each.failed for each in declared)
    return (Stage.FAILED if failed else Stage.LOADING).value


def _reason(
    ctx: Context, model: str, state: str, declared: list[Deployment], life: Life | None, now: float
) -> str:
    if state == Stage.FAILED:
        return next((each.failed for each in declared if each.failed), "")
    if state == Stage.UNLOADED and life is not None:
        return no_room(ctx, model, now) or life.why_not
    return ""


def _num_slots(replicas: list[Replica], layout: Layout | None) -> int:
    """As the engine tells, once it runs."""
    planned = (layout.num_slots or 0) if layout is not None else 0
    return max((replica.ready.capacity.num_slots for replica in replicas), default=planned)


def _engine(replicas: list[Replica], layout: Layout | None) -> str:
    return layout.engine.value if layout is not None else next((each.ready.engine for each in replicas), "")
