"""A folder or repository of safetensors as a variant of a model, from its config.json and its sizes."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.core.errors import InvalidField
from cluster.core.layout import Variant, WeightsFormat
from cluster.core.memory.cache import Keeping, kv_token_bytes
from cluster.core.memory.config import shape_of_config, text_of
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.quantisation import quantisation_of_config
from cluster.core.memory.shape import ModelShape
from cluster.core.memory.shares import WeightShares, shares_of
from cluster.core.memory.tensors import Parameters
from cluster.deployments import hub
from cluster.deployments.engine import EngineFault
from cluster.deployments.hf_files import CONFIG, INDEX, weights_names
from cluster.deployments.mlx_families import can_split

EMBEDS = "modules.json"
"""Embedding models say in it how they pool."""

MAX_RANKS = 16
MAX_HEADER_BYTES = 100 * 2**20

_SHARED_HEADS = (
    *("num_attention_heads", "n_head", "num_heads", "n_heads"),
    *("linear_num_key_heads", "linear_num_value_heads"),
    *("mamba_num_heads", "mamba_n_heads", "n_mamba_heads"),
)
"""Heads of which each tensor-parallel rank has its own."""

_DTYPE_BITS = {"float32": 32.0, "float16": 16.0, "bfloat16": 16.0, "float8_e4m3fn": 8.0}
_DTYPE_NAMES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "float8_e4m3fn": "fp8"}
_PACKED_BITS = {"I32": 32, "U32": 32, "I64": 64, "U8": 8}

Json = dict[str, Any]


def local(folder: Path) -> Variant:
    """Raises EngineFault naming what is wrong with the folder."""
    sizes = {entry.name: entry.stat().st_size for entry in folder.iterdir() if entry.is_file()}
    config = _object(folder / CONFIG)
    names = weights_names(sizes, _index(folder / INDEX if INDEX in sizes else None), str(folder))
    counts = [_count(folder / name, _bits(config)) for name in names]
    num_bytes = sum(sizes[name] for name in names)
    return _variant(str(folder), config, num_bytes, sum(counts), EMBEDS in sizes)


def at_hub(repository: str, sizes: Mapping[str, int]) -> Variant:
    """Downloads no weights, only the small files that describe them.  Raises EngineFault."""
    where = f"hf:{repository}"
    config = _object(hub.download(repository, CONFIG, lambda _: None))
    index = hub.download(repository, INDEX, lambda _: None) if INDEX in sizes else None
    num_bytes = sum(sizes[name] for name in weights_names(sizes, _index(index), where))
    return _variant(where, config, num_bytes, 0, EMBEDS in sizes)


def _object(path: Path) -> Json:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise EngineFault(f"{path} cannot be read: {fault.strerror}.", "Check path and rights.") from fault
    except ValueError as fault:
        raise EngineFault(f"{path} is damaged: {fault}.", "Download it again.") from fault
    if not isinstance(body, dict):
        raise EngineFault(f"{path} is not a JSON object.", "Download it again.")
    return body


def _index(path: Path | None) -> frozenset[str]:
    weight_map = _object(path).get("weight_map", {}) if path else {}
    return frozenset(weight_map.values())


def _variant(source: str, config: Json, num_bytes: int, num_params: int, embeds: bool) -> Variant:
    text, shape = text_of(config), _shape(config, source)
    counted = _parameters(config)
    num_params = num_params or _num_params(config, num_bytes, counted)
    mlx_tensor, mlx_pipeline = can_split(config)
    return Variant(
        source,
        WeightsFormat.MLX if isinstance(config.get("quantization"), dict) else WeightsFormat.SAFETENSORS,
        _quantisation(config),
        num_bytes,
        kv_token_bytes(shape, Keeping()),
        shape.window_tokens,
        num_params,
        num_bytes * 8 / num_params if num_params else 0.0,
        _tensor_parallel(text, shape),
        tuple(range(1, min(len(shape.order), MAX_RANKS) + 1)),
        mlx_tensor=mlx_tensor,
        mlx_pipeline=mlx_pipeline,
        embeds=embeds,
        shape=shape,
        shares=_shares(config, counted),
    )


def _shape(config: Json, source: str) -> ModelShape:
    try:
        return shape_of_config(config)
    except InvalidField as fault:
        raise EngineFault(f"{source}: {fault.field} {fault.problem}", fault.remedy) from fault


def _parameters(config: Json) -> Parameters | None:
    """None where the fields do not tell all weights."""
    try:
        return parameters_of_config(config)
    except InvalidField:
        return None


def _num_params(config: Json, num_bytes: int, counted: Parameters | None) -> int:
    """Of weights that were not counted one by one.  The size tells, unless they are packed; 0: unknown."""
    bits, is_packed = _bits(config), "quantization" in config or "quantization_config" in config
    if counted is not None and (is_packed or not bits):
        return counted.num_params
    return int(num_bytes * 8 / bits) if bits else 0


def _shares(config: Json, counted: Parameters | None) -> WeightShares | None:
    try:
        return None if counted is None else shares_of(counted, quantisation_of_config(config))
    except InvalidField:
        return None


def _tensor_parallel(text: Mapping[str, Any], shape: ModelShape) -> tuple[int, ...]:
    """With more ranks than KV heads several ranks keep the same head."""
    shared = [width for name in (*_SHARED_HEADS, "intermediate_size") for width in _widths(text.get(name))]
    return tuple(
        num
        for num in range(1, MAX_RANKS + 1)
        if not any(width % num for width in shared)
        and all(heads % num == 0 or num % heads == 0 for heads in shape.kv_heads)
    )


def _widths(told: Any) -> list[int]:  # noqa: ANN401 - whatever the file says
    """One for all layers, or a list with one for each."""
    each = told if isinstance(told, list) else [told]
    return [int(width) for width in each if isinstance(width, int | float)]


def _quantisation(config: Json) -> str:
    mlx, other = config.get("quantization"), config.get("quantization_config")
    if isinstance(mlx, dict):
        return f"{mlx.get('bits', 4)}bit"
    if isinstance(other, dict):
        return str(other.get("quant_method", "quantised"))
    return _DTYPE_NAMES.get(_dtype(config), _dtype(config))


def _dtype(config: Json) -> str:
    named = (part.get(key) for part in (config, text_of(config)) for key in ("dtype", "torch_dtype"))
    return str(next((name for name in named if name), ""))


def _bits(config: Json) -> float:
    """Bits of a weight as it is packed; 0 where it is not told."""
    mlx, other = config.get("quantization"), config.get("quantization_config")
    if isinstance(mlx, dict):
        return float(mlx.get("bits", 4))
    if not isinstance(other, dict):
        return _DTYPE_BITS.get(_dtype(config), 0.0)
    if other.get("bits"):
        return float(other["bits"])
    groups = other.get("config_groups") or {}
    packed = [(group.get("weights") or {}).get("num_bits") or 0 for group in groups.values()]
    if packed and all(packed):
        return float(packed[0])
    if other.get("load_in_4bit"):
        return 4.0
    return 8.0 if other.get("quant_method") == "fp8" or other.get("load_in_8bit") else 0.0


def _count(path: Path, bits: float) -> int:
    """The weights in a safetensors file; several of a quantised one are packed into a number.

    Raises EngineFault on a file that is cut short or is none.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MAX_HEADER_BYTES, size):
                raise ValueError("its header is longer than it is")
            header: Json = json.loads(file.read(length))
        tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        if 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0) > size:
            raise ValueError("it ends before its last tensor does")
        return sum(_numbers(tensor, bits) for name, tensor in tensors.items() if not _is_scale(name))
    except (ValueError, KeyError, TypeError, struct.error) as fault:
        raise EngineFault(f"{path} is damaged or cut short: {fault}.", "Download it again.") from fault


def _is_scale(name: str) -> bool:
    return name.endswith((".scales", ".biases", "_scale", "scale_inv", "qzeros", "g_idx", ".scale"))


def _numbers(tensor: Json, bits: float) -> int:
    num = 1
    for width in tensor["shape"]:
        num *= width
    dtype = tensor["dtype"]
    return int(num * _PACKED_BITS[dtype] / bits) if dtype in _PACKED_BITS and bits else num
