"""Once a model is loaded its engine's own capacity counts, and what was planned is told beside it."""

from dataclasses import replace

from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, ModelWish, Shard, Variant, WeightsFormat
from cluster.core.view import ReplicaStatus
from tests.core.managed import GIB, home

EIGHT = Variant("eight.gguf", WeightsFormat.GGUF, "q4_k_m", 5 * GIB, 131_072, 40_960)
SMALLER = replace(EIGHT, quantisation="q3_k_m", weights_bytes=4 * GIB)
LAYOUT = Layout(EngineKind.LLAMACPP, EIGHT.source, (Shard(NodeId("n1"), 8 * GIB),), 16_384, 16_384, "q3_k_m")


def loaded(wish: ModelWish | None, layout: Layout = LAYOUT) -> ReplicaStatus:
    """What is seen of a model with this wish, loaded in this layout; no wish: it runs by itself."""

    def fixed_plan(*_: object, **__: object) -> Layout:
        return layout

    drive = home(40, 40, planner=fixed_plan)
    drive.model("m", 1, wish=wish)
    if wish is not None:
        drive.load("m")
        drive.seconds(1)
    drive.started("m")
    (replica,) = drive.machine.view(drive.now).replicas
    return replica


def test_weights_and_kv_of_the_chosen_variant_are_told_and_the_buffers_are_not() -> None:
    replica = loaded(ModelWish((EIGHT, SMALLER)))
    assert (replica.planned_kv_tokens, replica.planned_bytes) == (16_384, 4 * GIB + 2 * GIB)
    assert replica.capacity.kv_tokens == 1000, "the engine's word counts"


def test_the_kv_type_counts() -> None:
    replica = loaded(ModelWish((SMALLER,), kv_type="q8_0"))
    assert replica.planned_bytes == 4 * GIB + 2 * GIB * 17 // 32, "34 bytes for 32 numbers instead of 64"


def test_all_ranks_count() -> None:
    shards = (Shard(NodeId("n1"), 4 * GIB), Shard(NodeId("n2"), 4 * GIB))
    split = replace(LAYOUT, engine=EngineKind.MLX, shards=shards, tensor_parallel=2)
    assert loaded(ModelWish((SMALLER,)), split).planned_bytes == 6 * GIB


def test_of_vllm_the_weights_count_once_as_it_reports_them() -> None:
    odd = replace(SMALLER, weights_bytes=4 * GIB + 1)
    split = replace(LAYOUT, engine=EngineKind.VLLM, tensor_parallel=2)
    assert loaded(ModelWish((odd,)), split).planned_bytes == 4 * GIB + 1 + 2 * GIB


def test_of_a_variant_that_nobody_knows_any_more_the_tokens_are_told() -> None:
    replica = loaded(ModelWish((EIGHT,)))
    assert (replica.planned_kv_tokens, replica.planned_bytes) == (16_384, 0)


def test_what_runs_by_itself_was_not_planned() -> None:
    replica = loaded(None)
    assert (replica.planned_kv_tokens, replica.planned_bytes) == (0, 0)
