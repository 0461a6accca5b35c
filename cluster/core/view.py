"""What people and dashboards see of the machine's state: plain, frozen, without a secret or a word said.

Sizes are tokens unless the name says bytes; ages are seconds before the view was taken.
"""

from dataclasses import dataclass

from cluster.core.facts import Capacity, Feature, Locality, Speed


@dataclass(frozen=True, slots=True)
class NodeView:
    """`models_bytes`: memory that engines may hold here; `held_bytes`: what those loaded do; `reserve_bytes`:
    left free beside it.  With `num_gpus` cards these three are of the cards, else of main memory.
    `chip`: what computes models there, as in NodeFacts."""

    node: str
    memory_bytes: int
    memory_free_bytes: int
    models_bytes: int = 0
    held_bytes: int = 0
    reserve_bytes: int = 0
    num_gpus: int = 0
    chip: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One replica and its ledger as the router forecasts it.

    `weights_bytes`, `kv_bytes`: memory its engine holds, 0 where it does not tell.  `planned_kv_tokens`: the
    KV memory, and `planned_bytes`: weights and KV, that the planner meant it to hold; 0 where nobody planned.
    """

    replica: str
    deployment: str
    node: str
    model: str
    engine: str
    locality: Locality
    state: str
    capacity: Capacity
    speed: Speed
    features: frozenset[Feature]
    num_leases: int
    reserved_tokens: int
    resident_tokens: int
    num_resident: int
    weights_bytes: int = 0
    kv_bytes: int = 0
    planned_kv_tokens: int = 0
    planned_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session whose KV lives somewhere; `running`: a turn of it is in flight there."""

    session: str
    tenant: str
    replica: str
    tokens: int
    running: bool
    idle_s: float


@dataclass(frozen=True, slots=True)
class WaitingTurn:
    turn: str
    session: str
    model: str
    position: int
    waited_s: float
    estimate_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class LoadTotals:
    """Of one model since the router's epoch began.  `num_unloads`: also of starts that failed;
    `num_swapped`: those that made room for another.  `num_ready`: starts that came to an end, and
    `load_ms`: what they took together."""

    num_loads: int = 0
    num_failed: int = 0
    num_unloads: int = 0
    num_swapped: int = 0
    num_ready: int = 0
    load_ms: int = 0


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """`state`: unloaded, loading, ready, unloading or failed (then `reason` says why).

    `window_tokens`: what a client may use: the smaller of the model's window and the largest KV memory; of a
    model that is not loaded, what it will have; 0 where that is not known.  `features` likewise.
    `engine`, `quantisation`, `nodes`, `memory_bytes`, `flags`: of its layout, empty while unloaded;
    `node_bytes`: what it holds on each of `nodes`.  `stage` and `fraction`: how far its start has come.
    `num_running`, `num_waiting`: turns.  `managed`: it can be loaded and unloaded (upstreams cannot).
    `num_slots`: sequences at once, of each replica; `num_checkpoints`: earlier states that each keeps with
    llama.cpp, None where that is not ours to say.
    `wanted`: a person or a turn waits for it to be loaded, and it will be tried (again).  `fits` False: no
    memory here could ever hold it.
    """

    model: str
    state: str
    locality: Locality
    window_tokens: int
    features: frozenset[Feature]
    num_replicas: int
    reason: str = ""
    engine: str = ""
    quantisation: str = ""
    nodes: tuple[str, ...] = ()
    memory_bytes: int = 0
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    flags: frozenset[str] = frozenset()
    stage: str = ""
    fraction: float | None = None
    keep_warm: bool = False
    managed: bool = False
    priority: int = 0
    num_running: int = 0
    num_waiting: int = 0
    node_bytes: tuple[int, ...] = ()
    wanted: bool = False
    fits: bool = True
    totals: LoadTotals = LoadTotals()
    num_slots: int = 0
    num_checkpoints: int | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the router's epoch began.  `swap_ms`: memory that was being emptied or filled because
    one model made room for another."""

    num_turns_arrived: int = 0
    num_turns_placed: int = 0
    num_turns_finished: int = 0
    num_turns_rejected: int = 0
    num_turns_cancelled: int = 0
    num_turns_replaced: int = 0
    num_grants_refused: int = 0
    num_grants_void: int = 0
    num_evictions: int = 0
    num_extensions: int = 0
    num_preemptions: int = 0
    num_affinity_hits: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    num_replicas_lost: int = 0
    num_loads: int = 0
    num_loads_failed: int = 0
    num_unloads: int = 0
    num_swaps: int = 0
    swap_ms: int = 0


@dataclass(frozen=True, slots=True)
class LoadingStatus:
    """A replica on its way to ready.  `fraction` 0..1 of its stage, None where it cannot be known."""

    deployment: str
    replica: str
    stage: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class PoolView:
    epoch: int
    nodes: tuple[NodeView, ...]
    replicas: tuple[ReplicaStatus, ...]
    models: tuple[ModelStatus, ...]
    sessions: tuple[SessionStatus, ...]
    queue: tuple[WaitingTurn, ...]
    counters: Counters
    loading: tuple[LoadingStatus, ...] = ()
