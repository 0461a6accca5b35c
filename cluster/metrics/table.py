"""The one table of metrics.

Pool metrics are read from the router's view and are therefore the same at every gateway: take their `max`
over gateways.  Gateway metrics are counted by each gateway for itself: take their `sum`.

Names begin with `hearth_`, name their base unit and end in `_total` where they only grow.
"""

from cluster.metrics.engines import ENGINE_METRICS
from cluster.metrics.metric import Kind, Metric
from cluster.metrics.models import MODEL_METRICS
from cluster.metrics.pool import ROUTER_METRICS

POOL_METRICS = (*ROUTER_METRICS, *MODEL_METRICS, *ENGINE_METRICS)

_WAIT_BUCKETS_S = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
)
_TURN_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

ROUTER_UP = Metric(
    "hearth_gateway_router_up",
    Kind.GAUGE,
    "1 while the router answers this gateway; at 0 there are no pool metrics.",
    "routers",
)
REQUESTS = Metric(
    "hearth_gateway_requests_total",
    Kind.COUNTER,
    "Requests answered; the model is empty where the request named none of the pool's.",
    "requests",
    ("route", "status", "model"),
)
IN_FLIGHT = Metric(
    "hearth_gateway_requests_in_flight", Kind.GAUGE, "Requests being answered now.", "requests"
)
TTFT = Metric(
    "hearth_gateway_time_to_first_token_seconds",
    Kind.HISTOGRAM,
    "From a request's arrival to the first token of its answer.",
    "seconds",
    ("model",),
    _WAIT_BUCKETS_S,
)
QUEUE_WAIT = Metric(
    "hearth_gateway_queue_wait_seconds",
    Kind.HISTOGRAM,
    "From a turn's arrival to its place.",
    "seconds",
    ("model",),
    _WAIT_BUCKETS_S,
)
TURN_DURATION = Metric(
    "hearth_gateway_turn_duration_seconds",
    Kind.HISTOGRAM,
    "From a turn's arrival to the end of its answer.",
    "seconds",
    ("model",),
    _TURN_BUCKETS_S,
)
STREAMED = Metric(
    "hearth_gateway_streamed_tokens_total", Kind.COUNTER, "Tokens sent to clients.", "tokens", ("model",)
)
DISCONNECTS = Metric(
    "hearth_gateway_client_disconnects_total",
    Kind.COUNTER,
    "Clients that went away before their answer was whole.",
    "clients",
)
CONTINUATIONS = Metric(
    "hearth_gateway_continuations_total",
    Kind.COUNTER,
    "Answers that went on at another replica after they had begun.",
    "turns",
)
LOAD_WAIT = Metric(
    "hearth_gateway_model_load_wait_seconds",
    Kind.HISTOGRAM,
    "From a turn's arrival to its place, for turns whose model had to be loaded.",
    "seconds",
    ("model",),
    _TURN_BUCKETS_S,
)
PROMPT_TOKENS = Metric(
    "hearth_gateway_prompt_tokens_total",
    Kind.COUNTER,
    "Prompt tokens of whole answers, by the engine that gave them.",
    "tokens",
    ("engine",),
)
CACHED_TOKENS = Metric(
    "hearth_gateway_cached_tokens_total",
    Kind.COUNTER,
    "Of those, tokens whose KV the engine still had.",
    "tokens",
    ("engine",),
)
COMPLETION_TOKENS = Metric(
    "hearth_gateway_completion_tokens_total",
    Kind.COUNTER,
    "Tokens of whole answers, by the engine that gave them.",
    "tokens",
    ("engine",),
)
STREAMS_LOST = Metric(
    "hearth_gateway_streams_lost_total",
    Kind.COUNTER,
    "Streams that ended before their answer: `preempted` for want of memory, or `broken` with their engine.",
    "streams",
    ("engine", "why"),
)

GATEWAY_METRICS: tuple[Metric, ...] = (
    ROUTER_UP,
    REQUESTS,
    IN_FLIGHT,
    TTFT,
    QUEUE_WAIT,
    TURN_DURATION,
    STREAMED,
    DISCONNECTS,
    CONTINUATIONS,
    LOAD_WAIT,
    PROMPT_TOKENS,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    STREAMS_LOST,
)

METRICS: tuple[Metric, ...] = (*POOL_METRICS, *GATEWAY_METRICS)
