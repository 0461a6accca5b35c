"""Pools as a router would show them, for tests and for the pictures of the guide."""

from dataclasses import replace

from cluster.core.events import Capacity, Feature, Locality, Speed
from cluster.core.view import (
    Counters,
    LoadingStatus,
    ModelStatus,
    NodeView,
    PoolView,
    ReplicaStatus,
    SessionStatus,
    WaitingTurn,
)

GIB = 1024**3
CHAT = frozenset({Feature.CHAT, Feature.MEASURE})

_LARGE = ReplicaStatus(
    replica="large-1",
    deployment="large",
    node="studio",
    model="qwen3-32b",
    engine="llamacpp",
    locality=Locality.LOCAL,
    state="ready",
    capacity=Capacity(kv_tokens=131_072, num_slots=8, window_tokens=40_960),
    speed=Speed(prefill_tps=610.0, decode_tps=22.5),
    features=CHAT,
    num_leases=3,
    reserved_tokens=52_480,
    resident_tokens=30_720,
    num_resident=2,
    weights_bytes=20 * GIB,
    kv_bytes=32 * GIB,
    planned_kv_tokens=131_072,
    planned_bytes=53 * GIB,
)
_SMALL = replace(
    _LARGE,
    replica="small-1",
    deployment="small",
    node="laptop",
    model="qwen3-8b",
    capacity=Capacity(kv_tokens=32_768, num_slots=4, window_tokens=32_768),
    num_leases=1,
    reserved_tokens=6_144,
    resident_tokens=9_216,
    num_resident=1,
    weights_bytes=5 * GIB,
    kv_bytes=int(4.5 * GIB),
    planned_kv_tokens=32_512,
    planned_bytes=9 * GIB,
)
_ELSEWHERE = replace(
    _LARGE,
    replica="upstream-1",
    deployment="upstream",
    node="laptop",
    model="llama3.2:cloud",
    engine="upstream",
    locality=Locality.HOSTED,
    capacity=Capacity(
        kv_tokens=65_536, num_slots=4, window_tokens=16_384, resident_holds_slot=False, estimated=True
    ),
    num_leases=0,
    reserved_tokens=0,
    resident_tokens=0,
    num_resident=0,
    weights_bytes=0,
    kv_bytes=0,
    planned_kv_tokens=0,
    planned_bytes=0,
)


def _model(replica: ReplicaStatus) -> ModelStatus:
    is_ours, held = replica.weights_bytes > 0, replica.weights_bytes + replica.kv_bytes + GIB
    return ModelStatus(
        replica.model,
        "ready",
        replica.locality,
        replica.capacity.window_tokens,
        replica.features,
        1,
        engine=replica.engine,
        quantisation="q4_k_m" if is_ours else "",
        nodes=(replica.node,) if is_ours else (),
        memory_bytes=held if is_ours else 0,
        node_bytes=(held,) if is_ours else (),
        keep_warm=replica.model == "qwen3-8b",
        managed=is_ours,
        num_running=replica.num_leases,
    )


HOME = PoolView(
    epoch=3,
    nodes=(
        NodeView("studio", 96 * GIB, 31 * GIB, 80 * GIB, 53 * GIB, 5 * GIB),
        NodeView("laptop", 16 * GIB, 3 * GIB, 12 * GIB, int(10.5 * GIB), int(1.5 * GIB)),
    ),
    replicas=(_LARGE, _SMALL, _ELSEWHERE),
    models=(_model(_LARGE), _model(_SMALL), _model(_ELSEWHERE)),
    sessions=(
        SessionStatus("home/openclaw-main#0", "home", "large-1", 30_208, True, 0.0),
        SessionStatus("home/notes-review#1", "home", "large-1", 16_384, True, 0.0),
        SessionStatus("home/letters#0", "home", "large-1", 5_888, True, 0.0),
        SessionStatus("home/recipes#0", "home", "large-1", 18_432, False, 95.0),
        SessionStatus("home/garden-planner#0", "home", "large-1", 12_288, False, 1_312.0),
        SessionStatus("home/homework#0", "home", "small-1", 6_144, True, 0.0),
        SessionStatus("home/music#2", "home", "small-1", 9_216, False, 12.0),
    ),
    queue=(
        WaitingTurn("t-31", "home/archive#0", "qwen3-32b", 1, 6.4, 9.0, 38_912),
        WaitingTurn("t-32", "home/inbox#0", "qwen3-32b", 2, 2.1, 24.0, 22_528),
    ),
    counters=Counters(
        num_turns_arrived=420,
        num_turns_placed=415,
        num_turns_finished=402,
        num_turns_rejected=4,
        num_turns_cancelled=8,
        num_affinity_hits=371,
        prompt_tokens=9_812_000,
        cached_tokens=8_930_000,
        completion_tokens=141_000,
    ),
)

UNLOADED = ModelStatus("coder/next:30b", "unloaded", Locality.LOCAL, 0, CHAT, 0, managed=True)
ON_ITS_WAY = replace(
    UNLOADED,
    state="loading",
    engine="mlx",
    quantisation="4bit",
    nodes=("studio", "laptop"),
    memory_bytes=17 * GIB,
    node_bytes=(15 * GIB, 2 * GIB),
    tensor_parallel=2,
    flags=frozenset({"heavily-quantised"}),
    stage="reading weights",
    fraction=0.45,
    num_waiting=1,
)
"""A gang over both machines."""

EMPTY = PoolView(1, (), (), (), (), (), Counters())

LOADING = replace(
    EMPTY,
    nodes=(NodeView("laptop", 16 * GIB, 9 * GIB),),
    models=(
        ModelStatus("qwen3-8b", "loading", Locality.LOCAL, 0, frozenset(), 0),
        ModelStatus(
            "broken",
            "failed",
            Locality.LOCAL,
            0,
            frozenset(),
            0,
            "broken.gguf is cut short. Download it again.",
        ),
    ),
    loading=(LoadingStatus("qwen3-8b", "qwen3-8b-1", "reading weights", 0.62),),
)
