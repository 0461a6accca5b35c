"""What a machine offers to models: what it has, unless somebody says otherwise."""

import pytest

from cluster.config import NodeConfig, parse
from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind
from cluster.core.memory.usable import AmdCard, AppleGpu, Gpu, NodeMemory, NvidiaCard
from cluster.inventory.gpu import Found
from cluster.inventory.offer import MODELS_BYTES, Offer, offer

GIB = 2**30
ENGINES = frozenset({EngineKind.LLAMACPP})
UNTOLD = NodeConfig()
MEMORY = NodeMemory(32 * GIB, 20 * GIB)
CARDS = (NvidiaCard("card", 24 * GIB, 23 * GIB), NvidiaCard("card", 24 * GIB, 20 * GIB))


def offered(
    config: NodeConfig = UNTOLD,
    environ: dict[str, str] | None = None,
    gpus: tuple[Gpu, ...] = (),
    with_cards: bool = True,
) -> Offer:
    return offer(config, environ or {}, MEMORY, Found(gpus), ENGINES, with_cards=with_cards)


def test_a_machine_without_cards_offers_what_is_free_beside_the_pool() -> None:
    assert offered().models_bytes == 20 * GIB - offered().reserve_bytes
    assert offered().reserve_bytes == int(32 * GIB / 20), "a twentieth is more than the pool takes"
    assert offered().num_gpus == 0
    assert offered().facts("10.0.0.1").reserve_bytes == offered().reserve_bytes


def test_cards_offer_equal_parts_so_the_fullest_decides() -> None:
    both = offered(gpus=CARDS)
    assert (both.num_gpus, both.models_bytes) == (2, 2 * 19 * GIB)


def test_cards_that_no_installed_engine_can_use_are_left_out() -> None:
    assert offered(gpus=CARDS, with_cards=False) == offered()
    assert offered(gpus=(AmdCard("card", 24 * GIB, 0),)) == offered()


def test_a_mac_offers_what_its_gpu_may_have_of_the_memory_that_is_free() -> None:
    mac = offered(gpus=(AppleGpu("chip", 32 * GIB, 16 * GIB),))
    assert (mac.metal, mac.num_gpus, mac.models_bytes) == (True, 0, 16 * GIB)


def test_what_is_told_wins_the_environment_over_the_file() -> None:
    config = NodeConfig(models_bytes=3 * GIB, labels={"kind": "rig"})
    assert offered(config, gpus=CARDS).models_bytes == 3 * GIB
    assert offered(config, gpus=CARDS).facts("10.0.0.1").reserve_bytes == 0, "nobody knows what is left"
    assert offered(config, {MODELS_BYTES: "0"}).models_bytes == 0
    assert offered(config).facts("10.0.0.1").labels == {"kind": "rig"}


def test_a_wrong_number_is_named() -> None:
    with pytest.raises(InvalidField, match=f"{MODELS_BYTES}.*4 GiB"):
        offered(environ={MODELS_BYTES: "4 GiB"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"node": {"labels": {"kind": "a b"}}}, "node.labels.kind"),
        ({"node": {"models_bytes": -1}}, "node.models_bytes"),
        ({"node": {"memory": 1}}, "node.memory: there is no such field"),
        ({"models": [{"name": "a", "source": "a", "where": {"kind": ""}}]}, "models[0].where.kind"),
    ],
)
def test_a_wrong_field_of_the_file_is_named(body: object, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse(body, "hearth.yaml")
    assert field in str(refused.value)
