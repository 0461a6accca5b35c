"""The Engines dashboard: which models are loaded on what, what swaps cost, and how fast each engine is."""

from dashboards.source.page import Page
from dashboards.source.panel import Look, Panel, Query
from dashboards.source.queries import MODEL, gateway_rate, models_rate, pool, pool_rate, quantile, replica

_STATE = pool("hearth_model_state", "model, state", MODEL)
_HELD = pool("hearth_model_held_bytes", "model, node", MODEL)
_SWAPPING = pool_rate("hearth_model_swap_seconds_total")
_LOAD_S = pool_rate("hearth_model_load_seconds_total", "model", MODEL)
_LOADS_DONE = pool_rate("hearth_model_loads_done_total", "model", MODEL)
_LOAD_WAIT = "hearth_gateway_model_load_wait_seconds"


def _engine(metric: str) -> str:
    return pool(f"hearth_engine_{metric}", "engine")


def _in_state(state: str) -> str:
    return f"sum({pool('hearth_model_state', 'model', _with_state(state))})"


def _with_state(state: str) -> str:
    return MODEL.replace("}", f', state="{state}"}}')


def _tokens(kind: str) -> str:
    return gateway_rate(f"hearth_gateway_{kind}_tokens_total", "engine")


NOW = (
    Panel("Models ready", "They answer now.", "short", (Query(_in_state("ready")),), Look.NUMBER),
    Panel(
        "Models on their way",
        "Their turns wait until they are ready.",
        "short",
        (Query(_in_state("loading")),),
        Look.NUMBER,
    ),
    Panel(
        "Models failed",
        "Their turns are refused; the console gives the reason and the remedy.",
        "short",
        (Query(_in_state("failed")),),
        Look.NUMBER,
    ),
    Panel(
        "Memory held by models",
        "Of what the nodes offer to models.",
        "percentunit",
        (
            Query(
                f"sum({pool('hearth_node_models_held_bytes', 'node')})"
                f" / sum({pool('hearth_node_models_bytes', 'node')})"
            ),
        ),
        Look.NUMBER,
        most=1,
    ),
    Panel(
        "Time lost to swaps",
        "Share of the time in which memory is emptied or filled for another model.",
        "percentunit",
        (Query(_SWAPPING),),
        Look.NUMBER,
    ),
    Panel(
        "Turns running",
        "On all engines.",
        "short",
        (Query(f"sum({_engine('turns_running')})"),),
        Look.NUMBER,
    ),
)

MODELS = (
    Panel(
        "Models by state",
        "Loaded, on their way, given up.",
        "short",
        (Query(f"sum by (state) ({_STATE})", "{{state}}"),),
        Look.STACK,
    ),
    Panel(
        "Memory by model",
        "What each loaded model holds on each node.",
        "bytes",
        (Query(_HELD, "{{model}} on {{node}}"),),
        Look.STACK,
    ),
    Panel(
        "Loads and unloads",
        "A swap unloads one model to make room for another.",
        "suffix: /min",
        (
            Query(f"60 * {models_rate('hearth_model_loads_total')}", "loads"),
            Query(f"60 * {models_rate('hearth_model_unloads_total')}", "unloads"),
            Query(f"60 * {models_rate('hearth_model_swaps_total')}", "swaps"),
            Query(f"60 * {models_rate('hearth_model_load_failures_total')}", "failed"),
        ),
    ),
    Panel(
        "Time of a load",
        "From the start of a model until it is ready, the mean.",
        "s",
        (Query(f"{_LOAD_S} / ({_LOADS_DONE} > 0)", "{{model}}"),),
    ),
    Panel(
        "Swaps by model",
        "How often it was unloaded to make room for another.",
        "suffix: /min",
        (Query(f"60 * {pool_rate('hearth_model_swaps_total', 'model', MODEL)}", "{{model}}"),),
        Look.STACK,
    ),
    Panel(
        "Wait for a model to load",
        "From a turn's arrival to its place, of turns whose model had to be loaded.",
        "s",
        (
            Query(quantile(0.5, _LOAD_WAIT), "{{model}} p50"),
            Query(quantile(0.99, _LOAD_WAIT), "{{model}} p99"),
        ),
    ),
    Panel(
        "Turns by model",
        "Running and waiting.",
        "short",
        (
            Query(pool("hearth_model_turns_running", "model", MODEL), "{{model}} running"),
            Query(pool("hearth_queue_turns", "model", MODEL), "{{model}} waiting"),
        ),
        Look.STACK,
    ),
    Panel(
        "Longest wait by model",
        "Of the first in the queue; it has a bound however many models take turns.",
        "s",
        (Query(pool("hearth_queue_oldest_wait_seconds", "model", MODEL), "{{model}}"),),
    ),
)

ENGINES = (
    Panel(
        "Prefill",
        "Learned speed of reading a prompt.",
        "suffix: tokens/s",
        (Query(replica("prefill_tokens_per_second"), "{{model}} on {{node}}"),),
    ),
    Panel(
        "Decode",
        "Learned speed of writing, for one sequence.",
        "suffix: tokens/s",
        (Query(replica("decode_tokens_per_second"), "{{model}} on {{node}}"),),
    ),
    Panel(
        "Speed by engine",
        "The mean of its replicas.",
        "suffix: tokens/s",
        (
            Query(_engine("prefill_tokens_per_second"), "{{engine}} prefill"),
            Query(_engine("decode_tokens_per_second"), "{{engine}} decode"),
        ),
    ),
    Panel(
        "KV memory by engine",
        "Share that turns reserve or idle sessions keep.",
        "percentunit",
        (Query(f"{_engine('kv_used_tokens')} / {_engine('kv_capacity_tokens')}", "{{engine}}"),),
        most=1,
    ),
    Panel(
        "Turns by engine",
        "Running, of the sequences it can hold at once.",
        "short",
        (
            Query(_engine("turns_running"), "{{engine}} running"),
            Query(_engine("slots"), "{{engine}} slots"),
        ),
    ),
    Panel(
        "Prompt from cache by engine",
        "Share of prompt tokens whose KV the engine still had.",
        "percentunit",
        (Query(f"{_tokens('cached')} / ({_tokens('prompt')} > 0)", "{{engine}}"),),
        most=1,
    ),
    Panel(
        "Tokens by engine",
        "Prompt tokens computed, and tokens written.",
        "suffix: tokens/s",
        (
            Query(f"{_tokens('prompt')} - {_tokens('cached')}", "{{engine}} read"),
            Query(_tokens("completion"), "{{engine}} written"),
        ),
    ),
    Panel(
        "Streams and engines lost",
        "Preempted for want of memory, or broken with their engine; answers go on elsewhere if they can.",
        "suffix: /min",
        (
            Query(
                f"60 * {gateway_rate('hearth_gateway_streams_lost_total', 'engine, why')}",
                "{{engine}} {{why}}",
            ),
            Query(f"60 * {pool_rate('hearth_replicas_lost_total')}", "engines that died"),
        ),
    ),
)

PAGE = Page("Engines", {"Now": NOW, "Models": MODELS, "Engines": ENGINES})
