"""What this machine offers to models: memory, cards, engines."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from cluster.config import NodeConfig
from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind, NodeFacts
from cluster.core.memory.usable import NodeMemory, Usable, gang_bytes, usable
from cluster.inventory.gpu import Found, find_gpus
from cluster.inventory.node import node_memory

MODELS_BYTES = "HEARTH_MODELS_BYTES"
"""The environment variable that tells how much memory models may hold; it wins over the config."""

MODULES: Mapping[EngineKind, str] = {
    EngineKind.LLAMACPP: "xllamacpp",
    EngineKind.VLLM: "vllm",
    EngineKind.MLX: "mlx_lm",
    EngineKind.FAKE: "cluster",
}
"""What an engine cannot run without."""


@dataclass(frozen=True, slots=True)
class Offer:
    """`models_bytes`: the memory of all `num_gpus` cards together, or of the machine where there are none.
    `metal`: an Apple GPU on unified memory.  `parts`: the devices that it is made of; `told`: a person said
    how much it is, whatever they have."""

    models_bytes: int
    num_gpus: int
    metal: bool
    engines: frozenset[EngineKind]
    labels: Mapping[str, str]
    parts: tuple[Usable, ...]
    told: bool = False
    chip: str = ""

    @property
    def usable_bytes(self) -> int:
        """What the machine has for models; cards hold equal parts, so each counts as the smallest."""
        if self.num_gpus:
            return gang_bytes(self.parts, self.num_gpus)
        return sum(part.usable_bytes for part in self.parts)

    @property
    def reserve_bytes(self) -> int:
        """What is left free; nothing where a person said how much models may hold."""
        return 0 if self.told else sum(part.reserve_bytes for part in self.parts)

    def facts(self, address: str) -> NodeFacts:
        """As the planner wants it; `address`: where other nodes reach this one."""
        return NodeFacts(
            self.models_bytes,
            address,
            self.engines,
            self.labels,
            self.num_gpus,
            self.metal,
            os.cpu_count() or 1,
            self.reserve_bytes,
            self.chip,
        )


def installed_engines() -> frozenset[EngineKind]:
    return frozenset(engine for engine, module in MODULES.items() if find_spec(module))


def uses_cards() -> bool:
    """Whether an engine is installed that computes on cards: vLLM's build for CPUs has another name."""
    try:
        distribution("vllm")
    except PackageNotFoundError:
        return False
    return sys.platform == "linux"


def this_offer(config: NodeConfig, memory: NodeMemory | None = None, found: Found | None = None) -> Offer:
    """Asks the machine; `memory`, `found`: what to believe instead.

    Raises InvalidField where the environment variable is no number.
    """
    memory, found = memory or node_memory(), found or find_gpus()
    return offer(config, os.environ, memory, found, installed_engines(), with_cards=uses_cards())


def offer(
    config: NodeConfig,
    environ: Mapping[str, str],
    memory: NodeMemory,
    found: Found,
    engines: frozenset[EngineKind],
    *,
    with_cards: bool,
) -> Offer:
    """From what was found: what was told wins."""
    parts = _parts(memory, found, with_cards)
    num_gpus = len(found.cards) if with_cards else 0
    told = _told(environ)
    if told is None:
        told = config.models_bytes
    metal, labels = found.apple is not None, dict(config.labels)
    chip = found.chip(num_gpus)
    made = Offer(told or 0, num_gpus, metal, engines, labels, parts, told is not None, chip)
    return made if told is not None else replace(made, models_bytes=made.usable_bytes)


def _parts(memory: NodeMemory, found: Found, with_cards: bool) -> tuple[Usable, ...]:
    """No engine that comes with Hearth computes on an AMD GPU: beside one, main memory counts."""
    if with_cards and found.cards:
        return tuple(usable(card, memory) for card in found.cards)
    return (usable(found.apple or memory, memory),)


def _told(environ: Mapping[str, str]) -> int | None:
    text = environ.get(MODELS_BYTES, "")
    if not text:
        return None
    if not text.isdigit():
        raise InvalidField(
            MODELS_BYTES, f"is not a number of bytes (got {text!r:.40}).", "Write digits alone."
        )
    return int(text)
