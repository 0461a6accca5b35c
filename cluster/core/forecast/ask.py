"""What is asked of a forecast."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from cluster.core.errors import InvalidField
from cluster.core.layout import EngineKind, Variant, WeightsFormat
from cluster.core.memory import ggml
from cluster.core.memory.cache import Keeping, KvType, kv_token_bytes
from cluster.core.memory.config import shape_of_config, text_of
from cluster.core.memory.packing import Quantisation
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.quantisation import quantisation_named, quantisation_of_config
from cluster.core.memory.shares import shares_of
from cluster.core.speed.machines import LINKS, MACHINES, Link, Machine
from cluster.core.speed.work import Work, work_of

USUAL = {EngineKind.MLX: "4bit", EngineKind.LLAMACPP: "q4_k_m", EngineKind.VLLM: "awq"}
"""Where nobody says how the weights are packed."""

_GGUF_ALONE = ggml.NAMES - {"bf16", "f16", "f32", "mxfp4_moe"}

_FORMATS = {EngineKind.MLX: WeightsFormat.MLX, EngineKind.LLAMACPP: WeightsFormat.GGUF}


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model.  `quantisation` empty: as its config says, else the engine's usual one.

    Equal to itself alone, so that what follows from it is computed once.
    """

    name: str
    config: Mapping[str, object]
    quantisation: str = ""

    def packed(self, engine: EngineKind) -> str:
        """How it is named."""
        if self.quantisation:
            return self.quantisation
        told = self.config, text_of(self.config)
        named = any(part.get(field) for part in told for field in ("quantization", "quantization_config"))
        return "as published" if named else USUAL[engine]

    def quantised(self, engine: EngineKind) -> Quantisation:
        """Raises InvalidField."""
        named = self.packed(engine)
        return quantisation_of_config(self.config) if named == "as published" else quantisation_named(named)

    @property
    def is_gguf(self) -> bool:
        """Packed as files of llama.cpp alone are."""
        return self.quantisation.lower() in _GGUF_ALONE

    def doubts(self, engine: EngineKind) -> tuple[str, ...]:
        """What its description leaves open, and what was assumed.  Raises InvalidField."""
        told = (*parameters_of_config(self.config).doubts, *self.quantised(engine).doubts)
        return tuple(dict.fromkeys(told))

    @property
    def window_tokens(self) -> int:
        """Raises InvalidField."""
        return shape_of_config(self.config).window_tokens


@lru_cache(maxsize=64)
def work_for(subject: Subject, engine: EngineKind) -> Work:
    """Raises InvalidField."""
    return work_of(subject.config, subject.quantised(engine))


@lru_cache(maxsize=64)
def variant_for(subject: Subject, engine: EngineKind) -> Variant:
    """Raises InvalidField."""
    parameters, shape = parameters_of_config(subject.config), shape_of_config(subject.config)
    shares = shares_of(parameters, subject.quantised(engine))
    return Variant(
        subject.name,
        _FORMATS.get(engine, WeightsFormat.SAFETENSORS),
        subject.packed(engine),
        shares.num_bytes,
        kv_token_bytes(shape, Keeping()),
        shape.window_tokens,
        parameters.num_params,
        shape=shape,
        shares=shares,
    )


MOST_CARDS = 16
"""Of one machine: as many as NVIDIA's DGX-2 has, as documented."""


@dataclass(frozen=True, slots=True)
class LabNode:
    """A machine with so many equal cards, which llama.cpp gives a part of the layers each."""

    machine: Machine
    num_cards: int = 1

    @property
    def name(self) -> str:
        return self.machine.name if self.num_cards == 1 else f"{self.num_cards}*{self.machine.name}"

    @property
    def usable_bytes(self) -> int:
        return self.num_cards * self.machine.usable_bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """`sessions` people or agents work at once, each on `context_tokens`."""

    subjects: tuple[Subject, ...]
    nodes: tuple[LabNode, ...]
    context_tokens: int
    sessions: int
    link: Link
    kv_type: KvType = "f16"

    def checked(self) -> "Ask":
        """Raises InvalidField where nothing can be said."""
        if not self.subjects:
            raise InvalidField("--model", "No model is named.", "Name one, or `--config FILE`.")
        if not self.nodes:
            raise InvalidField(
                "--machine",
                "No machine is named.",
                f"Known are: {', '.join(MACHINES)}. `--pool`: those of the running pool.",
            )
        for node in self.nodes:
            if node.num_cards > 1 and not node.machine.is_card:
                problem = f"{node.machine.name} is a whole computer, not a card."
                raise InvalidField("--machine", problem, "Name it several times, once for each.")
            if node.num_cards > MOST_CARDS:
                problem = f"{node.num_cards:,} cards are more than a machine has."
                raise InvalidField("--machine", problem, f"Name {MOST_CARDS} or fewer.")
        if self.link.name == "pcie" and len(self.nodes) > 1:
            problem = "pcie joins cards of one machine, and several machines are named."
            raise InvalidField("--link", problem, "Name an Ethernet, such as `10gbe`, or `2*rtx-3090`.")
        without = [node.name for node in self.nodes if not node.machine.has_rdma]
        if self.link.is_rdma and len(self.nodes) > 1 and without:
            problem = f"{without[0]} has no Thunderbolt 5."
            raise InvalidField("--link", problem, "Name an Ethernet, such as `10gbe`.")
        for subject in self.subjects:
            if self.context_tokens > subject.window_tokens:
                problem = f"{self.context_tokens:,} tokens are more than {subject.name} reads."
                raise InvalidField("--context", problem, f"Its window is {subject.window_tokens:,} tokens.")
        return self

    def with_node(self, node: LabNode) -> "Ask":
        """By plain Ethernet where the link asked for cannot join them."""
        nodes = (*self.nodes, node)
        joins = self.link.name != "pcie" and (
            not self.link.is_rdma or all(each.machine.has_rdma for each in nodes)
        )
        return replace(self, nodes=nodes, link=self.link if joins else LINKS["1gbe"])
