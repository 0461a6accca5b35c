"""The table's part that tells of nodes, replicas, the queue and turns, read from the router's view."""

from collections.abc import Callable, Iterable

from cluster.core.view import (
    Counters,
    NodeView,
    PoolView,
    ReplicaStatus,
    WaitingTurn,
)
from cluster.metrics.metric import Kind, PoolMetric, Sample


def _replica(name: str, unit: str, text: str, value: Callable[[ReplicaStatus], float]) -> PoolMetric:
    def read(view: PoolView) -> Iterable[Sample]:
        return [((one.replica, one.node, one.model), value(one)) for one in view.replicas]

    return PoolMetric(name, Kind.GAUGE, text, unit, ("replica", "node", "model"), read=read)


def _off(name: str, unit: str, text: str, difference: Callable[[ReplicaStatus], int | None]) -> PoolMetric:
    """None: there is nothing to compare."""

    def read(view: PoolView) -> Iterable[Sample]:
        for one in view.replicas:
            off = difference(one)
            if off is not None:
                yield (one.replica, one.node, one.model), off

    return PoolMetric(name, Kind.GAUGE, text, unit, ("replica", "node", "model"), read=read)


def _tokens_off(replica: ReplicaStatus) -> int | None:
    planned = replica.planned_kv_tokens
    return planned - replica.capacity.kv_tokens if planned else None


def _bytes_off(replica: ReplicaStatus) -> int | None:
    told = replica.weights_bytes + replica.kv_bytes
    return replica.planned_bytes - told if told and replica.planned_bytes else None


def _node(name: str, unit: str, text: str, value: Callable[[NodeView], float]) -> PoolMetric:
    def read(view: PoolView) -> Iterable[Sample]:
        return [((one.node,), value(one)) for one in view.nodes]

    return PoolMetric(name, Kind.GAUGE, text, unit, ("node",), read=read)


def _queue(name: str, unit: str, text: str, value: Callable[[list[WaitingTurn]], float]) -> PoolMetric:
    """One sample a model, 0 where nobody waits for it, so that a graph of it has no holes."""

    def read(view: PoolView) -> Iterable[Sample]:
        models = {one.model for one in view.models} | {one.model for one in view.queue}
        return [
            ((model,), value([turn for turn in view.queue if turn.model == model]))
            for model in sorted(models)
        ]

    return PoolMetric(name, Kind.GAUGE, text, unit, ("model",), read=read)


def _total(name: str, unit: str, text: str, value: Callable[[Counters], float]) -> PoolMetric:
    return PoolMetric(name, Kind.COUNTER, text, unit, read=lambda view: [((), value(view.counters))])


def _ended(view: PoolView) -> Iterable[Sample]:
    counts = view.counters
    yield ("finished",), counts.num_turns_finished
    yield ("rejected",), counts.num_turns_rejected
    yield ("cancelled",), counts.num_turns_cancelled


def _free_tokens(replica: ReplicaStatus) -> int:
    return max(0, replica.capacity.kv_tokens - replica.reserved_tokens - replica.resident_tokens)


def _longest(seconds: Iterable[float]) -> float:
    return max(seconds, default=0.0)


ROUTER_METRICS: tuple[PoolMetric, ...] = (
    PoolMetric(
        "hearth_router_epoch",
        Kind.GAUGE,
        "Number of the router that answers; a new router takes the next.",
        "epochs",
        read=lambda view: [((), view.epoch)],
    ),
    _node(
        "hearth_node_memory_bytes",
        "bytes",
        "Memory of the node in all.",
        lambda one: one.memory_bytes,
    ),
    _node(
        "hearth_node_memory_free_bytes",
        "bytes",
        "Memory of the node that nothing uses.",
        lambda one: one.memory_free_bytes,
    ),
    _node(
        "hearth_node_models_bytes",
        "bytes",
        "Memory of the node that models may hold.",
        lambda one: one.models_bytes,
    ),
    _node(
        "hearth_node_models_held_bytes",
        "bytes",
        "Memory of the node that loaded models hold.",
        lambda one: one.held_bytes,
    ),
    _node(
        "hearth_node_reserve_bytes",
        "bytes",
        "Memory of the node that is left free beside that for models.",
        lambda one: one.reserve_bytes,
    ),
    _replica(
        "hearth_replica_kv_capacity_tokens",
        "tokens",
        "KV memory of the replica.",
        lambda one: one.capacity.kv_tokens,
    ),
    _replica(
        "hearth_replica_kv_reserved_tokens",
        "tokens",
        "KV memory reserved by running turns.",
        lambda one: one.reserved_tokens,
    ),
    _replica(
        "hearth_replica_kv_resident_tokens",
        "tokens",
        "KV memory kept for sessions that are idle.",
        lambda one: one.resident_tokens,
    ),
    _replica(
        "hearth_replica_kv_free_tokens", "tokens", "KV memory neither reserved nor resident.", _free_tokens
    ),
    _replica(
        "hearth_replica_slots",
        "slots",
        "Sequences the replica can hold at once.",
        lambda one: one.capacity.num_slots,
    ),
    _replica("hearth_replica_leases", "leases", "Turns that run on the replica.", lambda one: one.num_leases),
    _replica(
        "hearth_replica_resident_sessions",
        "sessions",
        "Idle sessions whose KV the replica keeps.",
        lambda one: one.num_resident,
    ),
    _replica(
        "hearth_replica_weights_bytes",
        "bytes",
        "Memory the weights take; 0 where the engine does not tell.",
        lambda one: one.weights_bytes,
    ),
    _replica(
        "hearth_replica_kv_bytes",
        "bytes",
        "Memory the KV takes; 0 where the engine does not tell.",
        lambda one: one.kv_bytes,
    ),
    _off(
        "hearth_replica_kv_estimate_off_tokens",
        "tokens",
        "KV memory as planned less that the engine reports; only where it was planned.",
        _tokens_off,
    ),
    _off(
        "hearth_replica_memory_estimate_off_bytes",
        "bytes",
        "Weights and KV as estimated less what the engine reports; only where both are known.",
        _bytes_off,
    ),
    _replica(
        "hearth_replica_prefill_tokens_per_second",
        "tokens/s",
        "Learned speed of reading a prompt.",
        lambda one: one.speed.prefill_tps,
    ),
    _replica(
        "hearth_replica_decode_tokens_per_second",
        "tokens/s",
        "Learned speed of writing, for one sequence.",
        lambda one: one.speed.decode_tps,
    ),
    _queue("hearth_queue_turns", "turns", "Turns that wait for a place.", len),
    _queue(
        "hearth_queue_tokens",
        "tokens",
        "Tokens the waiting turns want in all.",
        lambda turns: sum(turn.tokens for turn in turns),
    ),
    _queue(
        "hearth_queue_oldest_wait_seconds",
        "seconds",
        "How long the first in the queue has waited.",
        lambda turns: _longest(turn.waited_s for turn in turns),
    ),
    _queue(
        "hearth_queue_longest_estimate_seconds",
        "seconds",
        "Longest wait still expected for a waiting turn.",
        lambda turns: _longest(turn.estimate_s for turn in turns),
    ),
    _total(
        "hearth_turns_arrived_total",
        "turns",
        "Turns that asked for a place.",
        lambda one: one.num_turns_arrived,
    ),
    _total(
        "hearth_turns_placed_total",
        "turns",
        "Grants of a place; a turn placed again counts again.",
        lambda one: one.num_turns_placed,
    ),
    _total(
        "hearth_turns_replaced_total",
        "turns",
        "Turns placed again after their replica was lost or refused them.",
        lambda one: one.num_turns_replaced,
    ),
    PoolMetric(
        "hearth_turns_ended_total",
        Kind.COUNTER,
        "Turns that ended, by outcome: finished, rejected, cancelled.",
        "turns",
        ("outcome",),
        read=_ended,
    ),
    _total(
        "hearth_grants_refused_total",
        "grants",
        "Grants that a front refused.",
        lambda one: one.num_grants_refused,
    ),
    _total(
        "hearth_grants_void_total",
        "grants",
        "Grants that were not presented in time.",
        lambda one: one.num_grants_void,
    ),
    _total(
        "hearth_evictions_total",
        "sessions",
        "Idle sessions that lost their KV to a turn.",
        lambda one: one.num_evictions,
    ),
    _total(
        "hearth_extensions_total",
        "extensions",
        "Reservations that grew while their turn ran.",
        lambda one: one.num_extensions,
    ),
    _total(
        "hearth_preemptions_total",
        "turns",
        "Running turns that had to go on elsewhere for want of memory.",
        lambda one: one.num_preemptions,
    ),
    _total(
        "hearth_affinity_hits_total",
        "turns",
        "Turns placed where their session's KV was resident.",
        lambda one: one.num_affinity_hits,
    ),
    _total(
        "hearth_replicas_lost_total",
        "replicas",
        "Replicas whose engine, or a rank of whose gang, ended without being asked; they start again.",
        lambda one: one.num_replicas_lost,
    ),
    _total(
        "hearth_model_swap_seconds_total",
        "seconds",
        "Time in which memory was emptied or filled because one model made room for another.",
        lambda one: one.swap_ms / 1000,
    ),
    _total(
        "hearth_prompt_tokens_total",
        "tokens",
        "Prompt tokens of finished turns.",
        lambda one: one.prompt_tokens,
    ),
    _total(
        "hearth_cached_tokens_total",
        "tokens",
        "Prompt tokens that did not have to be computed again.",
        lambda one: one.cached_tokens,
    ),
    _total(
        "hearth_completion_tokens_total",
        "tokens",
        "Tokens of finished answers.",
        lambda one: one.completion_tokens,
    ),
)
