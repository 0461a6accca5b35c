"""What a machine offers to models: what it has, unless somebody says otherwise."""

import pytest

from cluster.config import NodeConfig, parse
from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind
from cluster.inventory.gpu import Gpu
from cluster.inventory.node import NodeMemory
from cluster.inventory.offer import MODELS_BYTES, Offer, offer

GIB = 2**30
ENGINES = frozenset({EngineKind.LLAMACPP})
UNTOLD = NodeConfig()
MEMORY = NodeMemory(32 * GIB, 20 * GIB)
CARDS = (Gpu("card", 24 * GIB, 23 * GIB), Gpu("card", 24 * GIB, 20 * GIB))


def offered(
    config: NodeConfig = UNTOLD,
    environ: dict[str, str] | None = None,
    gpus: tuple[Gpu, ...] = (),
    with_cards: bool = True,
) -> Offer:
    return offer(config, environ or {}, MEMORY, gpus, ENGINES, with_cards=with_cards)


def test_a_machine_without_cards_offers_most_of_what_is_free() -> None:
    assert offered().models_bytes == int(20 * GIB * 0.95)
    assert offered().num_gpus == 0


def test_cards_offer_equal_parts_so_the_fullest_decides() -> None:
    both = offered(gpus=CARDS)
    assert (both.num_gpus, both.models_bytes) == (2, int(2 * 20 * GIB * 0.95))


def test_cards_that_no_installed_engine_can_use_are_left_out() -> None:
    assert offered(gpus=CARDS, with_cards=False) == offered()


def test_a_mac_offers_what_its_gpu_may_have_of_the_memory_that_is_free() -> None:
    mac = offered(gpus=(Gpu("chip", 16 * GIB, None, unified=True),))
    assert (mac.metal, mac.num_gpus, mac.models_bytes) == (True, 0, int(16 * GIB * 0.95))


def test_what_is_told_wins_the_environment_over_the_file() -> None:
    config = NodeConfig(models_bytes=3 * GIB, labels={"kind": "rig"})
    assert offered(config, gpus=CARDS).models_bytes == 3 * GIB
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
