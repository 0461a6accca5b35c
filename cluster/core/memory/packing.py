"""How numbers lie in memory: so many in a group, with the group's scale, in so many bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from cluster.core.memory.tensors import Part, Weight


@dataclass(frozen=True, slots=True)
class Packing:
    """`group` numbers of a row in `group_bytes`, scales included."""

    group: int
    group_bytes: Fraction

    @property
    def bits(self) -> float:
        return float(self.group_bytes * 8 / self.group)

    def num_bytes(self, weight: Weight) -> int:
        return -int(-weight.num_params * self.group_bytes / self.group // 1)


def plain(num_bytes: int) -> Packing:
    return Packing(1, Fraction(num_bytes))


def grouped(bits: int, group: int, scale_bits: int) -> Packing:
    """`scale_bits`: scale and offset of a group together."""
    return Packing(group, Fraction(bits * group + scale_bits, 8))


F32, F16, F8 = plain(4), plain(2), plain(1)
"""bf16 is counted as f16."""

MXFP4, NVFP4, MXFP8 = grouped(4, 32, 8), grouped(4, 16, 8), grouped(8, 32, 8)
"""A byte of scale for 32 or 16 numbers (OCP microscaling; NVFP4 has one more for each matrix)."""

InLayer = Callable[[int, int], bool]
"""Of a layer and the number of layers."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The packing of a part in some layers; None: in all."""

    packing: Packing
    in_layer: InLayer | None = None

    def holds(self, layer: int, num_layers: int) -> bool:
        return self.in_layer is None or self.in_layer(layer, num_layers)


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a model's weights are packed.

    `base`: what no rule names.  `rules`: by part, the first that holds.  `plain`: vectors, vision, and rows
    that do not divide into groups.  `smaller`: what is tried before `plain` where they do not.
    `keeps_vision`: what the model sees with is in the same file.
    """

    base: Packing
    plain: Packing = F16
    rules: Mapping[Part, tuple[Rule, ...]] = field(default_factory=dict[Part, tuple[Rule, ...]])
    smaller: Mapping[Packing, Packing] = field(default_factory=dict[Packing, Packing])
    keeps_vision: bool = True
    doubts: tuple[str, ...] = ()

    def packing(self, weight: Weight, layer: int = 0, num_layers: int = 1) -> Packing:
        if weight.part in (Part.VECTOR, Part.VISION):
            return self.plain
        held = (rule.packing for rule in self.rules.get(weight.part, ()) if rule.holds(layer, num_layers))
        chosen = next(held, self.base)
        if weight.inputs % chosen.group:
            chosen = self.smaller.get(chosen, self.plain)
        return self.plain if weight.inputs % chosen.group else chosen

    def num_bytes(self, weight: Weight, layer: int = 0, num_layers: int = 1) -> int:
        if weight.part is Part.VISION and not self.keeps_vision:
            return 0
        return self.packing(weight, layer, num_layers).num_bytes(weight)
