"""The Capacity dashboard: is there room, who waits for it, and what comes out."""

from dashboards.source.page import Page
from dashboards.source.panel import Look, Panel, Query
from dashboards.source.queries import MODEL, gateway_rate, pool, pool_rate, quantile, replica

_KV_USED = f"({replica('kv_reserved_tokens')} + {replica('kv_resident_tokens')})"
_HELD = f"({replica('weights_bytes')} + {replica('kv_bytes')})"
_MEMORY = pool("hearth_node_memory_bytes", "node")
_MODELS_HELD = pool("hearth_node_models_held_bytes", "node")
_MEMORY_FREE = pool("hearth_node_memory_free_bytes", "node")
_CACHED = f"{pool_rate('hearth_cached_tokens_total')} / ({pool_rate('hearth_prompt_tokens_total')} > 0)"
_AFFINITY = f"{pool_rate('hearth_affinity_hits_total')} / ({pool_rate('hearth_turns_placed_total')} > 0)"


def _reported(told: str, off: str) -> str:
    """Share of what was planned, which is what is told and by how much that is off."""
    return f"{told} / ({told} + {replica(off)})"


NOW = (
    Panel(
        "KV memory in use",
        "Reserved by running turns or resident for idle sessions, of all replicas.",
        "percentunit",
        (Query(f"sum({_KV_USED}) / sum({replica('kv_capacity_tokens')})"),),
        Look.NUMBER,
        most=1,
    ),
    Panel(
        "Free tokens",
        "KV memory that nothing holds.",
        "short",
        (Query(f"sum({replica('kv_free_tokens')})"),),
        Look.NUMBER,
    ),
    Panel(
        "Idle sessions resident",
        "Their next turn does not have to read its prompt again.",
        "short",
        (Query(f"sum({replica('resident_sessions')})"),),
        Look.NUMBER,
    ),
    Panel(
        "Turns running",
        "Leases of all replicas.",
        "short",
        (Query(f"sum({replica('leases')})"),),
        Look.NUMBER,
    ),
    Panel(
        "Turns waiting",
        "The queue of all models.",
        "short",
        (Query(f"sum({pool('hearth_queue_turns', 'model', MODEL)})"),),
        Look.NUMBER,
    ),
    Panel(
        "Prompt from cache",
        "Share of prompt tokens that did not have to be computed again.",
        "percentunit",
        (Query(_CACHED),),
        Look.NUMBER,
        most=1,
    ),
)

MEMORY = (
    Panel(
        "KV use by replica",
        "What running turns reserve and idle sessions keep, on top of each other.",
        "suffix: tokens",
        (
            Query(replica("kv_reserved_tokens"), "{{replica}} reserved"),
            Query(replica("kv_resident_tokens"), "{{replica}} resident"),
        ),
        Look.STACK,
    ),
    Panel(
        "Free tokens by replica",
        "A turn needs its prompt and its output here, or it waits.",
        "suffix: tokens",
        (Query(replica("kv_free_tokens"), "{{replica}} on {{node}}"),),
    ),
    Panel(
        "Sessions by replica",
        "Idle sessions whose KV is resident, and turns that run.",
        "short",
        (
            Query(replica("resident_sessions"), "{{replica}} idle"),
            Query(replica("leases"), "{{replica}} running"),
        ),
        Look.STACK,
    ),
    Panel(
        "Reported of what was planned",
        "What engines say they hold once loaded; above 100 % it is more than the planner thought.",
        "percentunit",
        (
            Query(
                _reported(replica("kv_capacity_tokens"), "kv_estimate_off_tokens"), "{{replica}} KV tokens"
            ),
            Query(_reported(_HELD, "memory_estimate_off_bytes"), "{{replica}} weights and KV"),
        ),
    ),
    Panel(
        "Memory by node",
        "What engines and other programs use, and what is free.",
        "bytes",
        (
            Query(
                f"{_MEMORY} - {_MEMORY_FREE}",
                "{{node}} used",
            ),
            Query(_MEMORY_FREE, "{{node}} free"),
        ),
        Look.STACK,
    ),
    Panel(
        "Memory for models by node",
        "What loaded models hold, what others may still get, and what is left free on purpose.",
        "bytes",
        (
            Query(_MODELS_HELD, "{{node}} held"),
            Query(f"{pool('hearth_node_models_bytes', 'node')} - {_MODELS_HELD}", "{{node}} for more models"),
            Query(pool("hearth_node_reserve_bytes", "node"), "{{node}} in reserve"),
        ),
        Look.STACK,
    ),
)

WAITING = (
    Panel(
        "Queue",
        "Turns that wait for a place, by model.",
        "short",
        (Query(pool("hearth_queue_turns", "model", MODEL), "{{model}}"),),
        Look.STACK,
    ),
    Panel(
        "Wait of the first in the queue",
        "And the longest wait still expected.",
        "s",
        (
            Query(pool("hearth_queue_oldest_wait_seconds", "model", MODEL), "{{model}} waited"),
            Query(pool("hearth_queue_longest_estimate_seconds", "model", MODEL), "{{model}} expected"),
        ),
    ),
    Panel(
        "Time to first token",
        "As clients see it, waiting included.",
        "s",
        (
            Query(quantile(0.5, "hearth_gateway_time_to_first_token_seconds"), "{{model}} p50"),
            Query(quantile(0.99, "hearth_gateway_time_to_first_token_seconds"), "{{model}} p99"),
        ),
    ),
    Panel(
        "Wait for a place",
        "From a turn's arrival to its place.",
        "s",
        (
            Query(quantile(0.5, "hearth_gateway_queue_wait_seconds"), "{{model}} p50"),
            Query(quantile(0.99, "hearth_gateway_queue_wait_seconds"), "{{model}} p99"),
        ),
    ),
)

WORK = (
    Panel(
        "Tokens",
        "Prompt tokens read anew and from cache, and tokens written, of finished turns.",
        "suffix: tokens/s",
        (
            Query(
                f"{pool_rate('hearth_prompt_tokens_total')} - {pool_rate('hearth_cached_tokens_total')}",
                "prompt computed",
            ),
            Query(pool_rate("hearth_cached_tokens_total"), "prompt from cache"),
            Query(pool_rate("hearth_completion_tokens_total"), "written"),
        ),
    ),
    Panel(
        "Tokens streamed",
        "Sent to clients, as it happens.",
        "suffix: tokens/s",
        (Query(gateway_rate("hearth_gateway_streamed_tokens_total", "model", MODEL), "{{model}}"),),
        Look.STACK,
    ),
    Panel(
        "Cache",
        "Share of prompt tokens from cache, and of turns placed where their session's KV was.",
        "percentunit",
        (Query(_CACHED, "prompt tokens from cache"), Query(_AFFINITY, "turns with affinity")),
        most=1,
    ),
    Panel(
        "Turns by outcome",
        "Ended turns.",
        "suffix: turns/s",
        (Query(pool_rate("hearth_turns_ended_total", "outcome"), "{{outcome}}"),),
        Look.STACK,
    ),
    Panel(
        "Rejections and failures",
        "Turns the pool refused, and requests answered with an error, by status.",
        "suffix: /s",
        (
            Query(pool_rate("hearth_turns_ended_total", where='{outcome="rejected"}'), "rejected"),
            Query(
                gateway_rate("hearth_gateway_requests_total", "status", '{status=~"[45].."}'), "{{status}}"
            ),
        ),
    ),
    Panel(
        "When memory is short",
        "Idle sessions evicted, reservations extended, turns preempted or placed again.",
        "suffix: /s",
        (
            Query(pool_rate("hearth_evictions_total"), "evicted"),
            Query(pool_rate("hearth_extensions_total"), "extended"),
            Query(pool_rate("hearth_preemptions_total"), "preempted"),
            Query(pool_rate("hearth_turns_replaced_total"), "placed again"),
        ),
    ),
)

ROWS = {"Now": NOW, "Memory": MEMORY, "Waiting": WAITING, "Work": WORK}
PAGE = Page("Capacity", ROWS)
