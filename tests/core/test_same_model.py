"""A model is the same each time, whatever else is loaded; and several live together where they can."""

from dataclasses import replace

import pytest

from cluster.core.commands import Load, Unload
from cluster.core.layout import EngineKind, Layout, ModelWish, NodeFacts, NoRoom, Variant, WeightsFormat
from cluster.core.plan import plan
from cluster.core.together import kv_share
from tests.core.drive import only
from tests.core.known_homes import CPU_SERVER, EIGHT_B, LAPTOP, MAC, SEVENTY_B_4BIT, all_free
from tests.core.known_homes import home as nodes_of
from tests.core.managed import GIB, Home, home

SIXTEEN = replace(LAPTOP, models_bytes=16 * GIB)
Q4 = ModelWish(EIGHT_B[1:2])
ANY_8B = ModelWish(EIGHT_B)
BIG = ModelWish((SEVENTY_B_4BIT,))
TINY = ModelWish((replace(EIGHT_B[0], weights_bytes=10**8, kv_token_bytes=3000, buffers_bytes=10**7),))


def two_sizes(small_gib: int, large_gib: int) -> ModelWish:
    sizes = {"small": small_gib, "large": large_gib}
    return ModelWish(
        tuple(Variant(name, WeightsFormat.NONE, name, gib * GIB, 0, 4096) for name, gib in sizes.items())
    )


def loaded(drive: Home) -> list[tuple[str, str]]:
    return [(load.deployment, load.layout.quantisation) for load in drive.heard(Load)]


def test_an_idle_model_makes_room_for_the_variant_that_is_always_run() -> None:
    drive = home(10, planner=plan)
    drive.loads("a", 6)
    drive.model("b", 0, wish=two_sizes(3, 8))
    drive.turn("t", "b")
    drive.seconds(3)
    assert [each.deployment for each in drive.heard(Unload)][:1] == ["a"]
    assert loaded(drive)[-1] == ("b", "large")


def test_at_the_start_no_smaller_variant_is_loaded_for_being_all_that_is_free() -> None:
    drive = home(10, planner=plan)
    drive.model("a", 0, wish=two_sizes(3, 8))
    drive.model("b", 0, wish=two_sizes(2, 8))
    drive.model("c", 2)
    drive.seconds(3)
    assert loaded(drive) == [("a", "large"), ("c", "q4")]
    drive.started("a")
    drive.turn("t", "b")
    drive.seconds(3)
    assert loaded(drive)[-1] == ("b", "large")


def test_what_is_kept_warm_is_never_counted_on() -> None:
    drive = home(10, planner=plan)
    drive.loads("warm", 6, keep_warm=True)
    drive.model("b", 0, wish=two_sizes(3, 8))
    drive.turn("t", "b")
    assert loaded(drive)[-1] == ("b", "small")


def test_the_next_variant_is_run_where_the_nodes_for_the_first_are_gone() -> None:
    drive = home(10, 4, planner=plan)
    drive.model("b", 0, wish=two_sizes(3, 8))
    drive.seconds(2)
    drive.started("b")
    drive.gone("b")
    for _ in range(20):
        drive.second(silent="n1")
    assert loaded(drive) == [("b", "large"), ("b", "small")]
    assert drive.heard(Load)[-1].layout.nodes == ("n2",)


def test_a_model_comes_with_the_same_context_wherever_there_is_room() -> None:
    nodes = nodes_of(a=MAC, b=MAC)
    most = all_free(nodes)
    alone = plan(ANY_8B, nodes, most, most)
    beside = plan(ANY_8B, nodes, {node: free - 24 * GIB * (node == "a") for node, free in most.items()}, most)
    assert isinstance(alone, Layout)
    assert isinstance(beside, Layout)
    assert (beside.source, beside.context_tokens) == (alone.source, alone.context_tokens)
    assert beside.nodes == ("b",)


def test_no_processor_stands_in_for_an_accelerator_that_only_has_to_be_cleared() -> None:
    nodes = nodes_of(mac=MAC, server=CPU_SERVER)
    most = all_free(nodes)
    full = {node: free * (node == "server") for node, free in most.items()}
    answer = plan(ANY_8B, nodes, full, most)
    assert isinstance(answer, NoRoom)
    assert answer.ever
    assert "8b-q8_0.gguf needs" in answer.problem


def together(nodes: dict, *wishes: ModelWish) -> list[int]:
    """The contexts of those that are loaded at once, 0 of the others."""
    share = kv_share(plan, (), wishes, nodes)
    free, found = all_free(nodes), []
    for wish in wishes:
        layout = plan(wish, nodes, free, all_free(nodes), share)
        found.append(layout.context_tokens if isinstance(layout, Layout) else 0)
        for shard in layout.shards if isinstance(layout, Layout) else ():
            free[shard.node] -= shard.memory_bytes
    return found


@pytest.mark.parametrize(
    ("facts", "wishes", "contexts"),
    [
        pytest.param(SIXTEEN, (Q4,), [32_768], id="alone: a quarter"),
        pytest.param(SIXTEEN, (Q4, Q4), [16_384, 16_384], id="two share"),
        pytest.param(LAPTOP, (Q4, Q4), [24_576, 0], id="two that do not fit anyway lose nothing"),
        pytest.param(MAC, (ANY_8B,) * 3, [24_576] * 3, id="three"),
        pytest.param(MAC, (ANY_8B,) * 4, [24_576] * 3 + [0], id="as many as possible"),
        pytest.param(MAC, (BIG, TINY), [19_456, 163_840], id="a tiny one beside one that would fill all"),
    ],
)
def test_contexts_that_nobody_set_let_models_live_together(
    facts: NodeFacts, wishes: tuple[ModelWish, ...], contexts: list[int]
) -> None:
    assert together(nodes_of(a=facts), *wishes) == contexts


def test_the_pool_itself_lets_them_live_together() -> None:
    variant = Variant("v", WeightsFormat.NONE, "q4", 3 * GIB, 2**17, 65_536)
    drive = home(10, planner=plan)
    for name in ("a", "b"):
        drive.model(name, 0, wish=ModelWish((variant,), EngineKind.FAKE))
    drive.seconds(3)
    assert {load.deployment: load.layout.context_tokens for load in drive.heard(Load)} == {
        "a": 10_240,
        "b": 10_240,
    }
    drive.unload("b")
    drive.seconds(3)
    assert only(drive.load("b"), Load).layout.context_tokens == 10_240
