"""How a model's weights are packed: from what its config.json says, or from the name of a quantisation."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

from cluster.core.errors import InvalidField
from cluster.core.memory import ggml
from cluster.core.memory.config import text_of
from cluster.core.memory.fields import Fields
from cluster.core.memory.layer_kinds import num_layers_of
from cluster.core.memory.modules import Names
from cluster.core.memory.packing import (
    F8,
    F16,
    F32,
    MXFP4,
    MXFP8,
    NVFP4,
    Packing,
    Quantisation,
    Rule,
    grouped,
)
from cluster.core.memory.tensors import Part

MLX_GROUP = 64
MLX_SCALE_BITS = 32
"""MLX keeps a scale and an offset of 16 bits for each group."""

_EXPERTS = (Part.EXPERT_UP, Part.EXPERT_DOWN)
_NOT_LINEAR = (Part.EMBEDDING, Part.HEAD, Part.ROUTER)
"""What quantisers for vLLM leave in 16 bits unless told otherwise."""

_DTYPES = {"float32": F32, "float16": F16, "bfloat16": F16, "float8_e4m3fn": F8}
_MODES = {"mxfp4": MXFP4, "nvfp4": NVFP4, "mxfp8": MXFP8}
_MLX_NAME = re.compile(r"(\d)-?bits?(?:-gs(\d+))?")
_AWQ = grouped(4, 128, 20)
"""AWQ's and GPTQ's usual form: for each 128 numbers a scale of 16 bits and an offset of 4."""


def mlx_bits(bits: int, group: int = MLX_GROUP) -> Packing:
    return grouped(bits, group, MLX_SCALE_BITS)


def quantisation_named(name: str) -> Quantisation:
    """As makers name it: `4bit`, `8bit-gs32`, `mxfp4-q8`, `q4_k_m`, `bf16`, `fp8`, `nvfp4`, `awq`.

    A file's own description is better.  Raises InvalidField.
    """
    name = name.lower()
    affine = _MLX_NAME.fullmatch(name)
    if affine:
        return Quantisation(mlx_bits(int(affine[1]), int(affine[2] or MLX_GROUP)))
    named: Mapping[str, Callable[[], Quantisation]] = {
        "bf16": lambda: Quantisation(F16),
        "f16": lambda: Quantisation(F16),
        "f32": lambda: Quantisation(F32, F32),
        "mxfp4-q8": lambda: Quantisation(mlx_bits(8), rules=dict.fromkeys(_EXPERTS, (Rule(MXFP4),))),
        "mxfp4": lambda: _experts_alone(MXFP4),
        "4bit-mxfp4": lambda: Quantisation(MXFP4),
        "fp8": lambda: _linear(F8),
        "nvfp4": lambda: _linear(NVFP4),
        "awq": lambda: _linear(_AWQ),
        "gptq": lambda: _linear(_AWQ),
    }
    found = named[name]() if name in named else ggml.ggml_quantisation(name)
    if found is None:
        known = ", ".join(sorted({*named, *ggml.NAMES, "4bit", "8bit-gs32"}))
        raise InvalidField("quantisation", f"{name!r} is not known.", f"Known are: {known}.")
    return found


def quantisation_of_config(config: Mapping[str, object]) -> Quantisation:
    """What is not known is counted as not quantised, and said."""
    whole, text = Fields(config, "config.json"), Fields(text_of(config), "config.json")
    dtype = _dtype(whole, text)
    mlx = whole.part("quantization")
    if mlx is not None:
        return _mlx(mlx, dtype, num_layers_of(text) or 0)
    other = whole.part("quantization_config") or text.part("quantization_config")
    if other is None:
        return Quantisation(dtype, dtype)
    num_layers = num_layers_of(text) or 0
    return _left_out(_of_method(other, dtype, num_layers), other, num_layers)


def _dtype(*parts: Fields) -> Packing:
    named = (fields.body.get(key) for fields in parts for key in ("dtype", "torch_dtype"))
    return _DTYPES.get(str(next((name for name in named if name), "")), F16)


def _mlx(fields: Fields, dtype: Packing, num_layers: int) -> Quantisation:
    """A module may have a packing of its own; false: it has none."""
    base = _mlx_packing(fields)
    apart: dict[Packing, list[str]] = {}
    for path, value in fields.body.items():
        own = fields.part(path)
        if own is not None or value is False:
            apart.setdefault(_mlx_packing(own) if own else dtype, []).append(path)
    rules: dict[Part, tuple[Rule, ...]] = {}
    for packing, paths in apart.items():
        _add(rules, Names(paths), packing, num_layers)
    return Quantisation(base, dtype, rules)


def _mlx_packing(fields: Fields) -> Packing:
    mode = _MODES.get(str(fields.body.get("mode")))
    return mode or mlx_bits(fields.positive("bits") or 4, fields.positive("group_size") or MLX_GROUP)


def _linear(packing: Packing, dtype: Packing = F16, doubts: tuple[str, ...] = ()) -> Quantisation:
    return Quantisation(packing, dtype, dict.fromkeys(_NOT_LINEAR, (Rule(dtype),)), doubts=doubts)


def _experts_alone(packing: Packing, dtype: Packing = F16, doubts: tuple[str, ...] = ()) -> Quantisation:
    return Quantisation(dtype, dtype, dict.fromkeys(_EXPERTS, (Rule(packing),)), doubts=doubts)


def _of_method(fields: Fields, dtype: Packing, num_layers: int) -> Quantisation:
    method = str(fields.body.get("quant_method") or fields.body.get("quant_algo") or "").lower()
    if fields.part("config_groups") is not None:
        return _of_groups(fields, dtype, num_layers)
    match method:
        case "fp8" | "fbgemm_fp8":
            return _linear(_in_blocks(fields), dtype)
        case "mxfp4":
            return _experts_alone(MXFP4, dtype)
        case "awq" | "gptq" | "auto-round" | "autoround":
            return _linear(_integer(fields.positive("bits") or 4, fields), dtype)
        case "modelopt" | "modelopt_fp4" | "nvfp4" | "modelopt_fp8":
            is_four = "4" in str(fields.body.get("quant_algo") or method)
            return _linear(NVFP4 if is_four else F8, dtype)
        case "compressed-tensors":
            four = MXFP4 if "mxfp4" in str(fields.body.get("format")) else grouped(4, 32, 16)
            return _experts_alone(four, dtype, ("config_groups is missing: experts are counted with 4 bits",))
        case "bitsandbytes":
            four = fields.flag("load_in_4bit") or fields.flag("_load_in_4bit")
            return _linear(grouped(4, 64, 32) if four else F8, dtype)
        case _:
            return Quantisation(
                dtype, dtype, doubts=(f"quant_method {method!r} is not known: not quantised",)
            )


def _in_blocks(fields: Fields) -> Packing:
    """8 bits, and a scale of 32 bits for each square block."""
    sides = fields.numbers("weight_block_size") or ()
    return Packing(1, 1 + Fraction(4, prod(sides))) if all(sides) and sides else F8


def _integer(bits: int, fields: Fields) -> Packing:
    """For each group a scale of 16 bits and an offset like the numbers; for whole rows it is next to none."""
    group = fields.body.get("group_size", fields.body.get("q_group_size"))
    if not isinstance(group, int) or group <= 0:
        return Packing(1, Fraction(bits, 8))
    return grouped(bits, group, 16 + (0 if fields.flag("sym") or fields.flag("symmetric") else bits))


def _of_groups(fields: Fields, dtype: Packing, num_layers: int) -> Quantisation:
    """compressed-tensors: each group of modules has its form; `Linear` names all but head and router."""
    groups = fields.part("config_groups")
    told = [groups.part(name) for name in groups.body] if groups else []
    made = [(_targets(each), _group_packing(each.part("weights"), dtype)) for each in told if each]
    base = next((packing for targets, packing in made if "Linear" in targets), dtype)
    found = _linear(base, dtype)
    rules = dict(found.rules)
    for targets, packing in made:
        if "Linear" not in targets:
            _add(rules, Names(targets), packing, num_layers)
    return Quantisation(base, dtype, rules)


def _targets(group: Fields) -> tuple[str, ...]:
    return tuple(str(each) for each in group.entries("targets") or ("Linear",))


def _group_packing(weights: Fields | None, dtype: Packing) -> Packing:
    bits = weights.positive("num_bits") if weights else None
    if weights is None or bits is None:
        return dtype
    if weights.body.get("type") != "float":
        return _integer(bits, weights)
    if bits == 8:
        return F8
    return NVFP4 if weights.number("group_size") == 16 else MXFP4


def _left_out(found: Quantisation, fields: Fields, num_layers: int) -> Quantisation:
    """What the config lists as left in its own type."""
    keys = ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules", "llm_int8_skip_modules")
    listed = [str(name) for key in keys for name in fields.entries(key) or ()]
    rules = dict(found.rules)
    if listed:
        _add(rules, Names(listed), found.plain, num_layers)
    return Quantisation(found.base, found.plain, rules, doubts=found.doubts)


def _add(rules: dict[Part, tuple[Rule, ...]], names: Names, packing: Packing, num_layers: int) -> None:
    """Before the rules that are there."""
    for part in Part:
        layers = names.layers(part, num_layers)
        if names.outside(part):
            rules[part] = (Rule(packing), *rules.get(part, ()))
        elif layers:
            rules[part] = (Rule(packing, _within(layers)), *rules.get(part, ()))


def _within(layers: frozenset[int]) -> Callable[[int, int], bool]:
    return lambda layer, _: layer in layers
