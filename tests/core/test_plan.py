"""What `auto` chooses in the homes people have, and what it says where nothing fits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, ModelWish, NodeFacts, NoRoom, Variant, WeightsFormat
from cluster.core.plan import plan
from tests.core.known_homes import (
    CPU_SERVER,
    EIGHT_B,
    GIB,
    LAPTOP,
    MAC,
    RIG,
    SEVENTY_B_4BIT,
    SEVENTY_B_8BIT,
    SEVENTY_B_AWQ,
    SEVENTY_B_FP8,
    all_free,
    gguf_8b,
    home,
)


def chosen(wish: ModelWish, nodes: dict[NodeId, NodeFacts], **free: int) -> Layout:
    layout = plan(wish, nodes, {**all_free(nodes), **{NodeId(name): num for name, num in free.items()}})
    assert isinstance(layout, Layout), layout
    return layout


def refused(wish: ModelWish, nodes: dict[NodeId, NodeFacts], **free: int) -> NoRoom:
    answer = plan(wish, nodes, {**all_free(nodes), **{NodeId(name): num for name, num in free.items()}})
    assert isinstance(answer, NoRoom), answer
    return answer


def summary(layout: Layout) -> str:
    """Engine, weights, ranks and where they are, in a line."""
    where = " ".join(f"{each.node}:{each.num_ranks}r{each.num_gpus}g" for each in layout.shards)
    return (
        f"{layout.engine} {layout.quantisation} tp{layout.tensor_parallel} pp{layout.pipeline_parallel} "
        f"[{where}] {layout.context_tokens}"
    )


SAFETENSORS_8B = replace(
    EIGHT_B[1],
    source="hf:home/8b",
    format=WeightsFormat.SAFETENSORS,
    quantisation="bf16",
    weights_bytes=16_400_000_000,
    bits_per_weight=16.0,
    tensor_parallel=(1, 2, 4, 8),
    pipeline_parallel=(1, 2, 3, 4),
)
NO_TENSOR = replace(SEVENTY_B_8BIT, tensor_parallel=(1,), mlx_pipeline=True)
"""A model whose heads cannot be shared, but whose layers can."""

GOLDEN = {
    "a laptop takes the largest of several": (
        ModelWish(EIGHT_B),
        home(a=LAPTOP),
        "llamacpp q8_0 tp1 pp1 [a:1r0g] 18432",
    ),
    "a smaller one with the context wanted": (
        ModelWish(EIGHT_B, context_tokens=32_000),
        home(a=LAPTOP),
        "llamacpp q4_k_m tp1 pp1 [a:1r0g] 32000",
    ),
    "a Mac takes the largest that leaves a useful context": (
        ModelWish((SEVENTY_B_4BIT, SEVENTY_B_8BIT)),
        home(a=MAC),
        "mlx 4bit tp1 pp1 [a:1r0g] 29184",
    ),
    "two Macs share the layers' work": (
        ModelWish((SEVENTY_B_4BIT, SEVENTY_B_8BIT)),
        home(a=MAC, b=MAC),
        "mlx 8bit tp2 pp1 [a:1r0g b:1r0g] 72448",
    ),
    "two Macs share the layers where heads do not allow more": (
        ModelWish((NO_TENSOR,)),
        home(a=MAC, b=MAC),
        "mlx 8bit tp1 pp2 [a:1r0g b:1r0g] 72448",
    ),
    "one card where one is enough": (
        ModelWish((SAFETENSORS_8B,)),
        home(a=RIG),
        "vllm bf16 tp1 pp1 [a:1r1g] 59136",
    ),
    "two cards of one box": (
        ModelWish((SEVENTY_B_AWQ,)),
        home(a=RIG),
        "vllm awq tp2 pp1 [a:2r2g] 25856",
    ),
    "two boxes, no more cards than needed": (
        ModelWish((SEVENTY_B_FP8,)),
        home(a=RIG, b=RIG),
        "vllm fp8 tp4 pp1 [a:2r2g b:2r2g] 75008",
    ),
    "cards rather than processors, though these have more memory": (
        ModelWish(EIGHT_B),
        home(a=CPU_SERVER, b=RIG),
        "llamacpp q8_0 tp1 pp1 [b:1r1g] 105472",
    ),
    "where the labels say": (
        ModelWish(EIGHT_B, where={"kind": "laptop"}),
        home(a=RIG, b=LAPTOP),
        "llamacpp q8_0 tp1 pp1 [b:1r0g] 18432",
    ),
    "safetensors on processors where nothing else is": (
        ModelWish((SAFETENSORS_8B,)),
        home(a=CPU_SERVER),
        "vllm bf16 tp1 pp1 [a:1r0g] 131072",
    ),
    "MLX where it alone is installed": (
        ModelWish((SAFETENSORS_8B,)),
        home(a=replace(CPU_SERVER, engines=frozenset({EngineKind.MLX}))),
        "mlx bf16 tp1 pp1 [a:1r0g] 131072",
    ),
    "two ranks on one node's processors if told so": (
        ModelWish((SAFETENSORS_8B,), EngineKind.VLLM, tensor_parallel=2),
        home(a=CPU_SERVER),
        "vllm bf16 tp2 pp1 [a:2r0g] 131072",
    ),
    "two ranks of MLX on two machines if there are two": (
        ModelWish((SAFETENSORS_8B,), EngineKind.MLX, tensor_parallel=2),
        home(a=MAC, b=MAC),
        "mlx bf16 tp2 pp1 [a:1r0g b:1r0g] 196608",
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_choice_in_a_home_of_this_kind(case: str) -> None:
    wish, nodes, expected = GOLDEN[case]
    assert summary(chosen(wish, nodes)) == expected


def test_kv_memory_that_nobody_asked_for_leaves_room_for_other_models() -> None:
    wish = ModelWish(EIGHT_B[1:2])
    first = chosen(wish, home(a=LAPTOP))
    assert first.context_tokens * 131_072 <= LAPTOP.models_bytes // 4
    second = chosen(wish, home(a=replace(LAPTOP, models_bytes=20 * GIB)), a=20 * GIB - first.memory_bytes)
    assert second.context_tokens >= 8192


def test_a_model_gets_its_card_whole_and_the_next_one_the_other() -> None:
    first = chosen(ModelWish((SAFETENSORS_8B,)), home(a=RIG))
    assert first.memory_bytes == RIG.models_bytes // 2
    second = chosen(ModelWish((SAFETENSORS_8B,)), home(a=RIG), a=RIG.models_bytes - first.memory_bytes)
    assert second.shards[0].num_gpus == 1
    assert refused(ModelWish((SAFETENSORS_8B,)), home(a=RIG), a=0).ever


def test_a_tiny_model_does_not_keep_a_large_one_from_both_cards() -> None:
    guide = Variant("builtin:guide", WeightsFormat.GGUF, "f16", 3_000_000, 1024, 2048, buffers_bytes=2**27)
    small = chosen(ModelWish((guide,)), home(a=RIG))
    assert small.memory_bytes < GIB
    assert small.shards[0].num_gpus == 0
    large = chosen(ModelWish((SEVENTY_B_AWQ,)), home(a=RIG), a=RIG.models_bytes - small.memory_bytes)
    assert large.shards[0].num_gpus == 2


def test_what_does_not_fit_is_said_in_numbers() -> None:
    words = refused(ModelWish(EIGHT_B[1:], context_tokens=65_536), home(a=LAPTOP, b=LAPTOP), a=6 * GIB)
    assert not words.ever
    assert words.problem == (
        "~/models/8b/8b-q4_k_m.gguf needs 14.7 GiB (weights 4.6, KV 8.0 for 65536 tokens, buffers 2.2); "
        "the roomiest node `b` has 12.0 GiB, 12.0 free, all 2 together 24.0 GiB, 18.0 free."
    )
    assert "context_tokens" in words.remedy


def test_what_would_fit_an_empty_pool_says_so() -> None:
    words = refused(ModelWish(EIGHT_B), home(a=LAPTOP), a=2 * GIB)
    assert words.ever
    assert "12.0 GiB, 2.0 free" in words.problem
    assert "hearth unload" in words.remedy


@pytest.mark.parametrize(
    ("wish", "nodes", "words"),
    [
        (ModelWish((SAFETENSORS_8B,), tensor_parallel=3), home(a=RIG), "tensor_parallel: 3"),
        (ModelWish(EIGHT_B, tensor_parallel=2), home(a=RIG), "tensor_parallel: 2"),
        (ModelWish((SEVENTY_B_4BIT,), pipeline_parallel=2), home(a=MAC, b=MAC), "pipeline_parallel: 2"),
        (ModelWish((SAFETENSORS_8B,), kv_type="q8_0"), home(a=RIG), "kv_type: q8_0"),
        (ModelWish(EIGHT_B, EngineKind.VLLM), home(a=RIG), "engine: vllm does not run gguf"),
        (ModelWish((SAFETENSORS_8B,)), home(a=LAPTOP), "none of the allowed machines has"),
        (ModelWish(EIGHT_B, where={"kind": "rack"}), home(a=RIG), "where: {kind: rack}"),
        (ModelWish(EIGHT_B), {}, "No machine"),
        (
            ModelWish((SAFETENSORS_8B,), EngineKind.VLLM, pipeline_parallel=2),
            home(a=CPU_SERVER, b=CPU_SERVER),
            "pipeline_parallel: 2 is not possible with vLLM on processors",
        ),
    ],
)
def test_an_impossible_setting_is_named_with_a_remedy(
    wish: ModelWish, nodes: dict[NodeId, NodeFacts], words: str
) -> None:
    answer = refused(wish, nodes)
    assert words in answer.problem
    assert answer.remedy
    assert not answer.ever


@pytest.mark.parametrize(
    ("params", "bits", "flags"),
    [
        (8_000_000_000, 4.8, set()),
        (3_000_000_000, 4.8, {"small"}),
        (8_000_000_000, 3.2, {"heavily-quantised"}),
        (3_000_000_000, 2.1, {"small", "heavily-quantised"}),
        (0, 0.0, set()),
    ],
)
def test_weak_models_are_flagged(params: int, bits: float, flags: set[str]) -> None:
    variant = replace(gguf_8b("q", 2 * GIB, bits), num_params=params)
    assert chosen(ModelWish((variant,)), home(a=LAPTOP)).flags == flags


engines = st.frozensets(st.sampled_from([EngineKind.LLAMACPP, EngineKind.VLLM, EngineKind.MLX]), min_size=1)
nodes_of_any_kind = st.dictionaries(
    st.sampled_from("abcd").map(NodeId),
    st.builds(
        NodeFacts,
        models_bytes=st.integers(0, 160 * GIB),
        engines=engines,
        labels=st.sampled_from([{}, {"kind": "mac"}]),
        num_gpus=st.integers(0, 4),
        metal=st.booleans(),
    ),
)
wishes = st.builds(
    ModelWish,
    st.lists(
        st.sampled_from([*EIGHT_B, SEVENTY_B_4BIT, SEVENTY_B_8BIT, SEVENTY_B_AWQ, SAFETENSORS_8B, NO_TENSOR]),
        max_size=3,
    ).map(tuple),
    engine=st.sampled_from([None, *EngineKind]),
    context_tokens=st.none() | st.integers(256, 200_000),
    slots=st.none() | st.integers(1, 8),
    kv_type=st.sampled_from(["f16", "q8_0", "f32"]),
    tensor_parallel=st.none() | st.integers(1, 8),
    pipeline_parallel=st.none() | st.integers(1, 4),
    where=st.sampled_from([{}, {"kind": "mac"}]),
)


@given(wishes, nodes_of_any_kind, st.data())
def test_a_layout_keeps_to_what_is_free_and_allowed(
    wish: ModelWish, nodes: dict[NodeId, NodeFacts], data: st.DataObject
) -> None:
    free = {node: data.draw(st.integers(0, facts.models_bytes)) for node, facts in nodes.items()}
    layout = plan(wish, nodes, free)
    assert layout == plan(wish, dict(reversed(nodes.items())), free), "the order of nodes changes nothing"
    if isinstance(layout, NoRoom):
        assert layout.problem
        assert layout.remedy
        return
    ranks = sum(shard.num_ranks for shard in layout.shards)
    assert ranks == layout.tensor_parallel * layout.pipeline_parallel
    assert len(set(layout.nodes)) == len(layout.nodes)
    for shard in layout.shards:
        facts = nodes[shard.node]
        assert 0 < shard.memory_bytes <= free[shard.node]
        assert shard.num_gpus <= facts.num_gpus
        assert layout.engine in facts.engines
        assert wish.where.items() <= facts.labels.items()
    assert layout.window_tokens <= layout.context_tokens
    assert wish.tensor_parallel in (None, layout.tensor_parallel)
    assert wish.engine in (None, layout.engine)


@given(wishes, nodes_of_any_kind)
def test_ever_is_true_exactly_where_an_empty_pool_could(
    wish: ModelWish, nodes: dict[NodeId, NodeFacts]
) -> None:
    answer = plan(wish, nodes, dict.fromkeys(nodes, 0))
    assert isinstance(answer, NoRoom)
    assert answer.ever == isinstance(plan(wish, nodes, all_free(nodes)), Layout)


@given(st.lists(wishes, max_size=5), nodes_of_any_kind)
def test_models_loaded_one_after_the_other_never_share_a_card(
    several: list[ModelWish], nodes: dict[NodeId, NodeFacts]
) -> None:
    free, cards = all_free(nodes), {node: facts.num_gpus for node, facts in nodes.items()}
    for wish in several:
        layout = plan(wish, nodes, free)
        for shard in layout.shards if isinstance(layout, Layout) else ():
            free[shard.node] -= shard.memory_bytes
            cards[shard.node] -= shard.num_gpus
            assert free[shard.node] >= 0
            assert cards[shard.node] >= 0
