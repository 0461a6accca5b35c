"""What a person wants of a model, with all that its files say: the planner's question.

Reads headers and small files only; of a hub's model no weights come here.
"""

from dataclasses import replace
from pathlib import Path

from cluster.config import ModelConfig
from cluster.core.layout import EngineKind, ModelWish, Variant, WeightsFormat
from cluster.deployments import gguf_variants, hf_files, hf_variants, hub, sources
from cluster.deployments.engine import EngineFault
from cluster.deployments.fake import FakeSettings

FAKE_RANKS = 4


def wish_of(config: ModelConfig) -> ModelWish:
    """Raises EngineFault where the source is wrong, or has no such quantisation; with a remedy."""
    engine = None if config.engine == "auto" else EngineKind(config.engine)
    if engine is EngineKind.FAKE:
        return _wish(config, engine, (_fake(config),))
    return _wish(config, engine, _variants(config.source, config.quantisation))


def _wish(config: ModelConfig, engine: EngineKind | None, variants: tuple[Variant, ...]) -> ModelWish:
    return ModelWish(
        variants,
        engine,
        config.context_tokens,
        config.slots,
        config.kv_type,
        config.tensor_parallel,
        config.pipeline_parallel,
        config.where,
    )


def _fake(config: ModelConfig) -> Variant:
    settings = FakeSettings.model_validate({**config.fake, "model": config.name})
    ranks = tuple(range(1, FAKE_RANKS + 1))
    return Variant(
        config.source,
        WeightsFormat.NONE,
        "",
        settings.memory_bytes,
        0,
        settings.window_tokens,
        tensor_parallel=ranks,
        pipeline_parallel=ranks,
    )


def _variants(source: str, quantisation: str | None) -> tuple[Variant, ...]:
    if not source.startswith("hf:"):
        return gguf_variants.matching(_local(source), quantisation, source)
    repository, _, name = source.removeprefix("hf:").partition(":")
    here = _cached(repository, name)
    if here:
        try:
            return gguf_variants.matching(_at_hub(repository, name, here), quantisation, source)
        except EngineFault:
            pass  # what is wanted is another quantisation than the one that is here
    found = _at_hub(repository, name, hub.hub_sizes(repository))
    return gguf_variants.matching(found, quantisation, source)


def _local(source: str) -> tuple[Variant, ...]:
    if source == "builtin:guide":
        return tuple(replace(each, source=source) for each in gguf_variants.local(sources.GUIDE_PATH))
    path = Path(source).expanduser()
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    has_gguf = any(sources.is_model(name) for name in names)
    safetensors = (hf_variants.local(path),) if hf_files.is_model(names) else ()
    ggufs = gguf_variants.local(path) if has_gguf or not safetensors else ()
    return (*safetensors, *ggufs)


def _cached(repository: str, name: str) -> dict[str, int]:
    """Files in the cache with their bytes, as far as they make whole models."""
    sizes = hub.cached_sizes(repository)
    ggufs = {
        part: sizes[part]
        for first in sizes
        if sources.is_model(first) and all(part in sizes for part in sources.parts_of(first))
        for part in sources.parts_of(first)
    }
    if name:
        return ggufs if name in ggufs else {}
    return {**hf_files.cached(repository), **ggufs}


def _at_hub(repository: str, name: str, sizes: dict[str, int]) -> tuple[Variant, ...]:
    safetensors = (hf_variants.at_hub(repository, sizes),) if not name and hf_files.is_model(sizes) else ()
    has_gguf = any(sources.is_model(each) for each in sizes)
    ggufs = gguf_variants.at_hub(repository, sizes, name) if has_gguf or not safetensors else ()
    return (*safetensors, *ggufs)
