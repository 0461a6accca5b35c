"""What this machine offers to models: memory, cards, engines."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from cluster.config import NodeConfig
from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind, NodeFacts
from cluster.inventory.gpu import Gpu, find_gpus
from cluster.inventory.node import NodeMemory, node_memory

MODELS_BYTES = "HEARTH_MODELS_BYTES"
"""The environment variable that tells how much memory models may hold; it wins over the config."""

USABLE_SHARE = 0.95
"""Of the memory that is free when the node starts; the rest stays for everything else."""

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
    `metal`: an Apple GPU on unified memory."""

    models_bytes: int
    num_gpus: int
    metal: bool
    engines: frozenset[EngineKind]
    labels: Mapping[str, str]

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


def this_offer(config: NodeConfig, memory: NodeMemory | None = None) -> Offer:
    """Asks the machine; `memory`: what to believe instead.

    Raises InvalidField where the environment variable is no number.
    """
    memory = memory or node_memory()
    return offer(config, os.environ, memory, find_gpus(), installed_engines(), with_cards=uses_cards())


def offer(
    config: NodeConfig,
    environ: Mapping[str, str],
    memory: NodeMemory,
    gpus: Sequence[Gpu],
    engines: frozenset[EngineKind],
    *,
    with_cards: bool,
) -> Offer:
    """From what was found: what was told wins."""
    cards = [gpu for gpu in gpus if not gpu.unified] if with_cards else []
    unified = [gpu for gpu in gpus if gpu.unified]
    told = _told(environ)
    if told is None:
        told = config.models_bytes
    found = _found_bytes(memory, cards, unified)
    return Offer(found if told is None else told, len(cards), bool(unified), engines, dict(config.labels))


def _told(environ: Mapping[str, str]) -> int | None:
    text = environ.get(MODELS_BYTES, "")
    if not text:
        return None
    if not text.isdigit():
        raise InvalidField(
            MODELS_BYTES, f"is not a number of bytes (got {text!r:.40}).", "Write digits alone."
        )
    return int(text)


def _found_bytes(memory: NodeMemory, cards: Sequence[Gpu], unified: Sequence[Gpu]) -> int:
    if cards:
        return int(len(cards) * min(_free(card) for card in cards) * USABLE_SHARE)
    limits = [memory.available_bytes, *(gpu.memory_bytes for gpu in unified)]
    return int(min(limits) * USABLE_SHARE)


def _free(card: Gpu) -> int:
    return card.memory_bytes if card.free_bytes is None else card.free_bytes
