"""Which files of a folder or repository of safetensors are needed to run it, and bringing them here."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from cluster.deployments import hub
from cluster.deployments.engine import EngineFault, Loading

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = ".safetensors"
BESIDE = (".json", ".jinja", ".txt", ".model", ".tiktoken")
"""Configs, tokenizers and templates lie beside the weights under these endings."""

OTHERS_WEIGHTS = ("consolidated", "adapter_")
"""The same weights in another layout, or no model by themselves."""


def is_model(names: Collection[str]) -> bool:
    return CONFIG in names and any(_is_weights(name) for name in names)


def _is_weights(name: str) -> bool:
    return name.endswith(WEIGHTS) and "/" not in name and not name.startswith(OTHERS_WEIGHTS)


def weights_names(names: Collection[str], indexed: Collection[str], where: str) -> tuple[str, ...]:
    """Those the index names, else all.  Raises EngineFault where one is missing."""
    wanted = sorted(indexed) or sorted(name for name in names if _is_weights(name))
    missing = [name for name in wanted if name not in names]
    if missing or not wanted:
        what = missing[0] if missing else f"a {WEIGHTS} file"
        raise EngineFault(f"{where} lacks {what}.", "Get all files of the model, or name another.")
    return tuple(wanted)


def needed(names: Collection[str], indexed: Collection[str], where: str) -> tuple[str, ...]:
    """The small files first: a wrong one is found before the weights have come."""
    beside = sorted(name for name in names if "/" not in name and name.endswith(BESIDE))
    return (*beside, *weights_names(names, indexed, where))


def find_folder(source: str, progress: Callable[[Loading], None]) -> Path:
    """The folder that engines load: a path, or `hf:owner/repo`, whose files are downloaded where they are
    not here.  Raises EngineFault with a remedy."""
    if source.startswith("hf:"):
        return _from_hub(source.removeprefix("hf:"), progress)
    folder = Path(source).expanduser()
    if not folder.is_dir() or not is_model([entry.name for entry in folder.iterdir()]):
        raise EngineFault(
            f"{folder} is not a folder with {CONFIG} and {WEIGHTS} files.",
            "Correct `models[].source`, or get the files.",
        )
    return folder


def cached(repository: str) -> dict[str, int]:
    """The files in the cache with their bytes, if the whole model is there; else nothing."""
    sizes = hub.cached_sizes(repository)
    try:
        weights_names(sizes, _indexed(repository, sizes), repository)
    except EngineFault:
        return {}
    return sizes if is_model(sizes) else {}


def _indexed(repository: str, sizes: Mapping[str, int]) -> frozenset[str]:
    if INDEX not in sizes:
        return frozenset()
    body = json.loads(hub.download(repository, INDEX, lambda _: None).read_text(encoding="utf-8"))
    return frozenset(body.get("weight_map", {}).values())


def _from_hub(repository: str, progress: Callable[[Loading], None]) -> Path:
    sizes = cached(repository) or hub.hub_sizes(repository)
    if not is_model(sizes):
        raise EngineFault(f"hf:{repository} has no {CONFIG} with {WEIGHTS} files.", "Name another model.")
    names = needed(sizes, _indexed(repository, sizes), f"hf:{repository}")
    all_bytes, done_bytes = sum(sizes[name] for name in names) or 1, 0
    for name in names:
        hub.download(repository, name, _part(progress, done_bytes / all_bytes, sizes[name] / all_bytes))
        done_bytes += sizes[name]
        progress(Loading(f"downloading hf:{repository}", done_bytes / all_bytes))
    return hub.download(repository, CONFIG, progress).parent


def _part(progress: Callable[[Loading], None], before: float, share: float) -> Callable[[Loading], None]:
    """Tells how far all files are, from how far one is."""
    return lambda loading: progress(Loading(loading.stage, before + share * (loading.fraction or 0.0)))
