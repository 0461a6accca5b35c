"""Whether a configured model could be loaded here, said before anything starts."""

from collections.abc import Mapping
from pathlib import Path

from cluster.budget import USABLE_SHARE, share
from cluster.config import GUIDE, HearthConfig, ModelConfig
from cluster.doctor.check import Check, fail, ok

FIRST_BATCH_TOKENS = 256
"""The smallest batch an engine computes with: whoever cannot afford it cannot load the model."""


def memory_parts(config: HearthConfig, free_bytes: int) -> Mapping[str, int]:
    """What each model may hold once all of them, and the guide, have their part.  Bytes by model name."""
    from cluster.deployments.sources import weights_bytes

    sources = {model.name: model.source for model in config.models}
    guide = {GUIDE: "builtin:guide"} if config.guide else {}
    weights = {name: weights_bytes(source) for name, source in {**guide, **sources}.items()}
    return share(int(free_bytes * USABLE_SHARE), weights) if weights else {}


def check_models(config: HearthConfig, free_bytes: int) -> list[Check]:
    """One finding for each model of the config; the guide is taken to be in order."""
    if not config.models:
        return []
    parts = memory_parts(config, free_bytes)
    return [check_model(model, parts[model.name]) for model in config.models]


def check_model(model: ModelConfig, free_bytes: int) -> Check:
    """Looks at the model's files and at the memory it will need.  Files that a hub has are not looked at."""
    name = f"Model {model.name}"
    if model.engine == "fake" or model.source.startswith("hf:"):
        return ok(name, model.source)
    from cluster.deployments import gguf_file, sizing, sources
    from cluster.deployments.engine import EngineFault

    try:
        parts = sources.find(model.source, lambda loading: None)
        files = [gguf_file.read(part) for part in parts]
        weights = sum(file.num_bytes for file in files)
        plan = sizing.plan(files[0], weights, free_bytes, model, FIRST_BATCH_TOKENS)
    except EngineFault as fault:
        return fail(name, fault.problem, fault.remedy)
    return ok(name, f"{_where(parts[0])}, room for {plan.kv_tokens:,} tokens")


def _where(path: Path) -> str:
    return str(path).replace(str(Path.home()), "~", 1)
