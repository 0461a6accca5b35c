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
            ("iq3_s", 256, 110),
            ("iq3_xxs", 256, 98),
            ("iq2_s", 256, 82),
            ("iq2_xs", 256, 74),
            ("iq2_xxs", 256, 66),
            ("iq1_m", 256, 56),
            ("iq1_s", 256, 50),
        )
    },
}
_SMALLER = {
    BLOCKS[name]: BLOCKS[smaller]
    for name, smaller in (
        *(
            (name, "iq4_nl")
            for name in ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs")
        ),
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


def _middle(layer: int, num_layers: int) -> bool:
    return num_layers // 8 <= layer < 7 * num_layers // 8


def _first(num: int) -> Rule:
    return Rule(BLOCKS["q5_k"], lambda layer, _: layer < num)


_ALL = {name: (Rule(packing),) for name, packing in BLOCKS.items()}
_MORE = (Rule(BLOCKS["q6_k"], _important),)
_EARLY = (Rule(BLOCKS["q5_k"], _first_eighth),)


def _downs(*rules: Rule) -> dict[Part, tuple[Rule, ...]]:
    return dict.fromkeys(_DOWNS, rules)


def _few(table: str, head: str, downs: str, output: str | None = None) -> dict[Part, tuple[Rule, ...]]:
    """What the mixes of less than 4 bits have in common: values in more bits, and the first layers' downs."""
    rules = {Part.EMBEDDING: _ALL[table], Part.HEAD: _ALL[head], Part.VALUE: _ALL["q4_k"]}
    early = _downs(Rule(BLOCKS[downs], _first_eighth))
    return {**rules, **early, **({Part.OUTPUT: _ALL[output]} if output else {})}


_Mix = tuple[str, Mapping[Part, tuple[Rule, ...]]]

_KS: Mapping[str, _Mix] = {
    "q2_k": ("q2_k", {Part.VALUE: _ALL["q4_k"], Part.OUTPUT: _ALL["q3_k"], **_downs(*_ALL["q3_k"])}),
    "q3_k_s": ("q3_k", {}),
    "q3_k_m": (
        "q3_k",
        {
            Part.VALUE: (_first(2), *_ALL["q4_k"]),
            Part.OUTPUT: _ALL["q4_k"],
            **_downs(Rule(BLOCKS["q5_k"], _first_sixteenth), *_ALL["q4_k"]),
        },
    ),
    "q3_k_l": ("q3_k", {Part.VALUE: _ALL["q5_k"], Part.OUTPUT: _ALL["q5_k"], **_downs(*_ALL["q5_k"])}),
    "q4_k_s": ("q4_k", {Part.VALUE: (_first(4),), **_downs(*_EARLY)}),
    "q4_k_m": ("q4_k", {Part.VALUE: _MORE, **_downs(*_MORE)}),
    "q5_k_s": ("q5_k", {}),
    "q5_k_m": ("q5_k", {Part.VALUE: _MORE, **_downs(*_MORE)}),
}
_MIXES: Mapping[str, _Mix] = {
    **_KS,
    **{short: _KS[f"{short}_m"] for short in ("q3_k", "q4_k", "q5_k")},
    "iq4_xs": ("iq4_xs", {Part.VALUE: _ALL["q5_k"], **_downs(*_EARLY)}),
    "iq4_nl": ("iq4_nl", {Part.VALUE: _ALL["q5_k"], **_downs(*_EARLY)}),
    "iq3_m": ("iq3_s", _few("iq3_s", "q6_k", "q4_k", "q4_k")),
    "iq3_s": ("iq3_s", _few("iq3_s", "q6_k", "iq3_s")),
    "iq3_xs": (
        "iq3_s",
        {
            **_few("iq3_s", "q6_k", "iq3_s"),
            **dict.fromkeys((Part.QUERY, Part.KEY), _ALL["iq3_xxs"]),
            **dict.fromkeys((Part.UP, Part.SHARED_UP, Part.EXPERT_UP), (Rule(BLOCKS["iq3_xxs"], _middle),)),
        },
    ),
    "iq3_xxs": (
        "iq3_xxs",
        {
            **_few("iq3_s", "q5_k", "q4_k", "iq3_s"),
            **dict.fromkeys((Part.QUERY, Part.KEY), _ALL["iq2_s"]),
        },
    ),
    "iq2_m": ("iq2_s", _few("iq3_s", "q5_k", "iq3_s", "iq3_s")),
    "iq2_s": ("iq2_xs", _few("iq3_s", "q5_k", "iq3_s", "iq3_s")),
    "iq2_xs": ("iq2_xs", _few("q2_k", "q5_k", "q2_k")),
    "iq2_xxs": ("iq2_xxs", _few("q2_k", "q5_k", "q2_k")),
    "iq1_m": ("iq1_m", _few("q2_k", "q5_k", "q2_k", "iq2_xxs")),
    "iq1_s": ("iq1_s", _few("q2_k", "q5_k", "q2_k", "iq2_xxs")),
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
