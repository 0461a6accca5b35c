"""The table's part that tells of models: their state, what they hold, and what their loads cost."""

from collections.abc import Callable, Iterable

from cluster.core.view import LoadTotals, ModelStatus, PoolView
from cluster.metrics.metric import Kind, PoolMetric, Sample

MODEL_STATES = ("unloaded", "loading", "ready", "unloading", "failed")


def _model(name: str, unit: str, text: str, value: Callable[[ModelStatus], float]) -> PoolMetric:
    def read(view: PoolView) -> Iterable[Sample]:
        return [((one.model,), value(one)) for one in view.models]

    return PoolMetric(name, Kind.GAUGE, text, unit, ("model",), read=read)


def _of_model(name: str, unit: str, text: str, value: Callable[[LoadTotals], float]) -> PoolMetric:
    def read(view: PoolView) -> Iterable[Sample]:
        return [((one.model,), value(one.totals)) for one in view.models if one.managed]

    return PoolMetric(name, Kind.COUNTER, text, unit, ("model",), read=read)


def _model_states(view: PoolView) -> Iterable[Sample]:
    return [((one.model, state), one.state == state) for one in view.models for state in MODEL_STATES]


def _held(view: PoolView) -> Iterable[Sample]:
    for one in view.models:
        yield from (((one.model, node), size) for node, size in zip(one.nodes, one.node_bytes, strict=False))


MODEL_METRICS: tuple[PoolMetric, ...] = (
    PoolMetric(
        "hearth_model_state",
        Kind.GAUGE,
        "1 for the state the model is in, 0 for the others.",
        "states",
        ("model", "state"),
        read=_model_states,
    ),
    _model(
        "hearth_model_window_tokens",
        "tokens",
        "Longest turn a client may send; 0 where it is not known.",
        lambda one: one.window_tokens,
    ),
    _model(
        "hearth_model_replicas", "replicas", "Replicas that serve the model.", lambda one: one.num_replicas
    ),
    _model(
        "hearth_model_turns_running",
        "turns",
        "Turns of the model that run.",
        lambda one: one.num_running,
    ),
    PoolMetric(
        "hearth_model_held_bytes",
        Kind.GAUGE,
        "Memory that the model holds on the node.",
        "bytes",
        ("model", "node"),
        read=_held,
    ),
    _of_model("hearth_model_loads_total", "loads", "Starts of the model.", lambda one: one.num_loads),
    _of_model(
        "hearth_model_loads_done_total",
        "loads",
        "Starts of the model after which it was ready.",
        lambda one: one.num_ready,
    ),
    _of_model(
        "hearth_model_load_seconds_total",
        "seconds",
        "What the starts after which it was ready took.",
        lambda one: one.load_ms / 1000,
    ),
    _of_model(
        "hearth_model_load_failures_total",
        "loads",
        "Starts of the model that failed, and times that it was lost.",
        lambda one: one.num_failed,
    ),
    _of_model(
        "hearth_model_unloads_total",
        "unloads",
        "Times that the model was unloaded.",
        lambda one: one.num_unloads,
    ),
    _of_model(
        "hearth_model_swaps_total",
        "unloads",
        "Of those, times that it made room for another.",
        lambda one: one.num_swapped,
    ),
)
