"""GGUFs as variants of a model: one each, its parts together.

Files of one folder are one model if their names differ in the quantisation alone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gguf.constants import LlamaFileType

from cluster.core.footprint import BATCH_TOKENS
from cluster.core.layout import Variant, WeightsFormat
from cluster.core.memory.cache import Keeping, kv_token_bytes
from cluster.deployments import gguf_file, hub, sizing, sources
from cluster.deployments.engine import EngineFault
from cluster.deployments.gguf_file import GgufFile

HEAD_BYTES = 16 * 2**20
"""Holds the header of a model with 250,000 tokens."""

MAX_HEAD_BYTES = 128 * 2**20

_QUANTISATION = re.compile(
    r"(?:^|[-_.])((?:ud-)?(?:i?q\d(?:_[a-z0-9]+)*|tq\d_\d|mxfp4(?:_moe)?|bf16|f16|f32|fp16|fp32))(?=[-.]|$)"
)


@dataclass(frozen=True, slots=True)
class Files:
    """One variant's files.  `source` is what an engine loads, `name` that of its first part."""

    source: str
    name: str
    num_bytes: int


def local(path: Path) -> tuple[Variant, ...]:
    """The variants in a folder, or the one that is a file.  Raises EngineFault."""
    if path.is_dir():
        names = {entry.name: entry.stat().st_size for entry in path.iterdir() if entry.is_file()}
        found = group(names, str(path), lambda name: str(path / name))
    else:
        parts = sources.find(str(path), lambda _: None)
        num_bytes = sum(part.stat().st_size for part in parts)
        found = (Files(str(path), path.name, num_bytes),)
    return tuple(_of_local(files) for files in found)


def _of_local(files: Files) -> Variant:
    parts = sources.find(files.source, lambda _: None)
    read = [gguf_file.read(part) for part in parts]
    return variant(files, read[0], sum(each.num_params for each in read))


def at_hub(repository: str, sizes: Mapping[str, int], name: str = "") -> tuple[Variant, ...]:
    """Those of a repository, or only `name`, without downloading them: one header tells the shape of all.

    Raises EngineFault.
    """
    where = f"hf:{repository}"
    if name and name not in sizes:
        raise EngineFault(f"{where}:{name} is not there.", "Correct the name in `models[].source`.")
    wanted = {part: sizes[part] for part in sources.parts_of(name) if part in sizes} if name else sizes
    found = group(wanted, where, lambda each: f"{where}:{each}")
    smallest = min(found, key=lambda files: (len(sources.parts_of(files.name)), files.num_bytes))
    head = _head(repository, smallest.name, sizes[smallest.name])
    num_params = _num_params(head, smallest.num_bytes / sizes[smallest.name])
    return tuple(variant(files, head, num_params) for files in found)


def _num_params(head: GgufFile, num_parts: float) -> int:
    """`num_parts`: the size of all parts over that of the first, like which they are taken to be packed where
    it does not tell.  0: unknown, where the first has no tensors."""
    told = head.fields.get("general.parameter_count") if num_parts > 1 else None
    return int(told or head.num_params * num_parts)


def _head(repository: str, name: str, num_bytes: int) -> GgufFile:
    if name in hub.cached_sizes(repository):
        return gguf_file.read(hub.download(repository, name, lambda _: None))
    size = HEAD_BYTES
    while size <= MAX_HEAD_BYTES:
        head = gguf_file.read_head(
            Path(f"hf:{repository}:{name}"), num_bytes, hub.read_start(repository, name, size)
        )
        if head is not None:
            return head
        size *= 4
    raise EngineFault(f"The header of hf:{repository}:{name} is too long.", "Download it and name its path.")


def group(sizes: Mapping[str, int], where: str, source_of: sources.Namer) -> tuple[Files, ...]:
    """A folder's GGUFs, each with its parts.  Raises EngineFault where they are none, or several models."""
    names = sorted(name for name in sizes if sources.is_model(name))
    if not names:
        raise EngineFault(f"There is no GGUF in {where}.", "Name a file whose name ends in .gguf.")
    if len({_model_name(name) for name in names}) > 1:
        listed = ", ".join(names[:12])
        raise EngineFault(f"There are {len(names)} models in {where}: {listed}.", "Name one of them.")
    return tuple(Files(source_of(name), name, _all_bytes(name, sizes, where)) for name in names)


def _all_bytes(name: str, sizes: Mapping[str, int], where: str) -> int:
    missing = [part for part in sources.parts_of(name) if part not in sizes]
    if missing:
        raise EngineFault(f"{where} has {name}, but not {missing[0]}.", "Get the missing parts.")
    return sum(sizes[part] for part in sources.parts_of(name))


def quantisation_of(name: str) -> str:
    """As in the file's name; empty where it does not tell."""
    stem = _stem(name)
    found = _QUANTISATION.search(stem)
    return found[1] if found else ""


def _stem(name: str) -> str:
    return PurePosixPath(sources.without_part(name)).name.lower().removesuffix(".gguf")


def _model_name(name: str) -> str:
    return _QUANTISATION.sub("", _stem(name))


def variant(files: Files, head: GgufFile, num_params: int) -> Variant:
    """Raises EngineFault where the header does not describe a language model."""
    shape = sizing.shape(head)
    return Variant(
        files.source,
        WeightsFormat.GGUF,
        quantisation_of(files.name) or _file_type(head),
        files.num_bytes,
        kv_token_bytes(shape, Keeping()),
        shape.window_tokens,
        num_params,
        files.num_bytes * 8 / num_params if num_params else 0.0,
        buffers_bytes=sizing.fixed_compute_bytes(head, BATCH_TOKENS),
        embeds=bool(head.of_model("pooling_type")),
        shape=shape,
    )


def _file_type(head: GgufFile) -> str:
    try:
        kind = LlamaFileType(head.fields.get("general.file_type"))
    except ValueError:
        return ""
    return kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").lower()


def matching(variants: Iterable[Variant], quantisation: str | None, where: str) -> tuple[Variant, ...]:
    """Those of the quantisation that is wanted.  Raises EngineFault where there is none."""
    variants = tuple(variants)
    wanted = (quantisation or "").lower()
    found = tuple(each for each in variants if wanted in ("", each.quantisation.lower()))
    if not found:
        listed = ", ".join(sorted({each.quantisation or "unnamed" for each in variants}))
        raise EngineFault(
            f"There is no quantisation {quantisation} of {where}.", f"There is: {listed}. Name one, or none."
        )
    return found
