"""What can be varied: the models, and what is known of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.harness.options import BenchSettings
from bench.memory.models import MODELS, Config
from bench.memory.published import KV, Published, PublishedKv, published

GB = 10**9


class MemorySettings(BenchSettings):
    """`data`: a JSON file of other models; None: the published ones that come along.  Nothing is drawn by
    chance, so `seeds` change nothing.  `engines`: those to run small models on, as far as they are
    installed."""

    data_help: ClassVar[str | None] = "a JSON file of other models instead of the published ones"

    engines: tuple[Literal["llamacpp", "mlx"], ...] = ("llamacpp", "mlx")


@dataclass(frozen=True, slots=True)
class Known:
    """Models, and what is to be met of them."""

    models: dict[str, Config]
    weights: tuple[Published, ...]
    kv: tuple[PublishedKv, ...]


class BadData(Exception):
    """The file of `--data` cannot be used."""


class _Weights(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str
    quantisation: str = ""
    gb: float


class _Kv(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str
    token_bytes: int
    sequence_mib: float | None = None


class _Data(BaseModel):
    """`models`: each one's config.json.  `weights`: sizes in GB of 10^9 bytes; without a `quantisation` as
    the model's own config says.  `kv`: bytes of a token and MiB of a sequence, at 16 bits."""

    model_config = ConfigDict(extra="forbid")

    models: dict[str, dict[str, Any]]
    weights: tuple[_Weights, ...] = ()
    kv: tuple[_Kv, ...] = ()


def known(data: str | None) -> Known:
    """A file that is no more than configs by name is taken as `models`.  Raises BadData."""
    if data is None:
        return Known(MODELS, published(), KV)
    try:
        body = json.loads(Path(data).read_text())
        told = _Data.model_validate(body if "models" in body else {"models": body})
    except (OSError, ValueError, TypeError, ValidationError) as fault:
        raise BadData(f"{data}: {fault}") from fault
    missing = {each.model for each in (*told.weights, *told.kv)} - set(told.models)
    if missing:
        raise BadData(f"{data}: `models` has no {', '.join(sorted(missing))}.")
    sizes = ((each, round(each.gb * GB)) for each in told.weights)
    return Known(
        told.models,
        tuple(Published(each.model, each.quantisation, size, size) for each, size in sizes),
        tuple(PublishedKv(each.model, each.token_bytes, each.sequence_mib) for each in told.kv),
    )
