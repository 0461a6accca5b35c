"""llama.cpp's types of weights, and which matrix gets which in its mixes.

Sizes are those of ggml's blocks; the mixes follow its own quantiser (`llama-quant.cpp`), in short: its few
rules by architecture and by the exact number of 8 experts are left out.
"""

from collections.abc import Mapping
from fractions import Fraction

from cluster.core.memory.packing import F16, F32, MXFP4, Packing, Quantisation, Rule
from cluster.core.memory.tensors import Part

BLOCKS: Mapping[str, Packing] = {
    "f32": F32,
    "f16": F16,
    "bf16": F16,
    "mxfp4": MXFP4,
    **{
        name: Packing(group, Fraction(num_bytes))
        for name, group, num_bytes in (
            ("q4_0", 32, 18),
            ("q4_1", 32, 20),
            ("q5_0", 32, 22),
            ("q5_1", 32, 24),
            ("q8_0", 32, 34),
            ("iq4_nl", 32, 18),
            ("q2_k", 256, 84),
            ("q3_k", 256, 110),
            ("q4_k", 256, 144),
            ("q5_k", 256, 176),
            ("q6_k", 256, 210),
            ("iq4_xs", 256, 136),
        )
    },
}
_SMALLER = {
    BLOCKS[name]: BLOCKS[smaller]
    for name, smaller in (
        ("iq4_xs", "iq4_nl"),
        ("q2_k", "q4_0"),
        ("q3_k", "q4_0"),
        ("q4_k", "q5_0"),
        ("q5_k", "q5_1"),
        ("q6_k", "q8_0"),
    )
}
"""What a row becomes that does not divide into blocks of 256."""

_DOWNS = (Part.DOWN, Part.SHARED_DOWN, Part.EXPERT_DOWN)
_EXPERTS = (Part.EXPERT_UP, Part.EXPERT_DOWN)


def _important(layer: int, num_layers: int) -> bool:
    """The first and the last eighth, and between them one layer in three."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2


def _first_eighth(layer: int, num_layers: int) -> bool:
    return layer < num_layers // 8


def _first_sixteenth(layer: int, num_layers: int) -> bool:
    return layer < num_layers // 16


def _first(num: int) -> Rule:
    return Rule(BLOCKS["q5_k"], lambda layer, _: layer < num)


_ALL = {name: (Rule(packing),) for name, packing in BLOCKS.items()}
_MORE = (Rule(BLOCKS["q6_k"], _important),)
_EARLY = (Rule(BLOCKS["q5_k"], _first_eighth),)

_MIXES: Mapping[str, tuple[str, Mapping[Part, tuple[Rule, ...]]]] = {
    "q2_k": (
        "q2_k",
        {Part.VALUE: _ALL["q4_k"], Part.OUTPUT: _ALL["q3_k"], **dict.fromkeys(_DOWNS, _ALL["q3_k"])},
    ),
    "q3_k_s": ("q3_k", {}),
    "q3_k_m": (
        "q3_k",
        {
            Part.VALUE: (_first(2), *_ALL["q4_k"]),
            Part.OUTPUT: _ALL["q4_k"],
            **dict.fromkeys(_DOWNS, (Rule(BLOCKS["q5_k"], _first_sixteenth), *_ALL["q4_k"])),
        },
    ),
    "q3_k_l": ("q3_k", dict.fromkeys((Part.VALUE, Part.OUTPUT, *_DOWNS), _ALL["q5_k"])),
    "q4_k_s": ("q4_k", {Part.VALUE: (_first(4),), **dict.fromkeys(_DOWNS, _EARLY)}),
    "q4_k_m": ("q4_k", dict.fromkeys((Part.VALUE, *_DOWNS), _MORE)),
    "q5_k_s": ("q5_k", {}),
    "q5_k_m": ("q5_k", dict.fromkeys((Part.VALUE, *_DOWNS), _MORE)),
    "iq4_xs": ("iq4_xs", {Part.VALUE: _ALL["q5_k"], **dict.fromkeys(_DOWNS, _EARLY)}),
    "iq4_nl": ("iq4_nl", {Part.VALUE: _ALL["q5_k"], **dict.fromkeys(_DOWNS, _EARLY)}),
    "mxfp4_moe": ("q8_0", dict.fromkeys(_EXPERTS, _ALL["mxfp4"])),
    **{name: (name, {}) for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q6_k", "q8_0", "f32", "f16", "bf16")},
}
_WITH_Q8_HEAD = ("q8_0", "mxfp4_moe")
NAMES = frozenset(_MIXES)


def ggml_quantisation(name: str) -> Quantisation | None:
    """`name` as in a file's name, in small letters; None: not known.  Vectors and routers stay in 32 bits,
    and what a model sees with is a file of its own."""
    if name not in _MIXES:
        return None
    base, rules = _MIXES[name]
    head = _ALL["q8_0" if name in _WITH_Q8_HEAD else base if BLOCKS[base].group == 1 else "q6_k"]
    return Quantisation(
        BLOCKS[base],
        F32,
        {Part.HEAD: head, Part.ROUTER: _ALL["f32"], **rules},
        _SMALLER,
        keeps_vision=False,
    )
