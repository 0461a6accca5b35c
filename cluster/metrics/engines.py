"""The table's part that tells of engines: the replicas of each kind together."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from cluster.core.view import PoolView, ReplicaStatus
from cluster.metrics.metric import Kind, PoolMetric, Sample


def _engine(name: str, unit: str, text: str, value: Callable[[Sequence[ReplicaStatus]], float]) -> PoolMetric:
    def read(view: PoolView) -> Iterable[Sample]:
        kinds: defaultdict[str, list[ReplicaStatus]] = defaultdict(list)
        for one in view.replicas:
            kinds[one.engine].append(one)
        return [((engine,), value(replicas)) for engine, replicas in sorted(kinds.items())]

    return PoolMetric(f"hearth_engine_{name}", Kind.GAUGE, text, unit, ("engine",), read=read)


ENGINE_METRICS: tuple[PoolMetric, ...] = (
    _engine("replicas", "replicas", "Replicas of the engine.", len),
    _engine(
        "turns_running",
        "turns",
        "Turns that run on the engine.",
        lambda those: sum(one.num_leases for one in those),
    ),
    _engine(
        "slots",
        "slots",
        "Sequences the engine can hold at once.",
        lambda those: sum(one.capacity.num_slots for one in those),
    ),
    _engine(
        "kv_capacity_tokens",
        "tokens",
        "KV memory of the engine.",
        lambda those: sum(one.capacity.kv_tokens for one in those),
    ),
    _engine(
        "kv_used_tokens",
        "tokens",
        "KV memory reserved by running turns or kept for idle sessions.",
        lambda those: sum(one.reserved_tokens + one.resident_tokens for one in those),
    ),
    _engine(
        "prefill_tokens_per_second",
        "tokens/s",
        "Learned speed of reading a prompt, the mean of the replicas.",
        lambda those: fmean(one.speed.prefill_tps for one in those),
    ),
    _engine(
        "decode_tokens_per_second",
        "tokens/s",
        "Learned speed of writing, for one sequence, the mean of the replicas.",
        lambda those: fmean(one.speed.decode_tps for one in those),
    ),
)
