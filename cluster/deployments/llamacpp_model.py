"""A model on disk and what it gets of this machine, settled before any engine starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.config import ModelConfig
from cluster.core.footprint import BATCH_TOKENS
from cluster.core.slots import LLAMACPP_CHECKPOINTS
from cluster.deployments import gguf_file, sizing, sources
from cluster.deployments.engine import EngineFault, Loading
from cluster.deployments.gguf_file import GgufFile


@dataclass(frozen=True, slots=True)
class Model:
    """`file`: the first of `paths`.  `pooling`: llama.cpp's number of how an embedding model pools.
    `batch_tokens`: prompt tokens computed at once, if that is fast enough."""

    paths: tuple[Path, ...]
    file: GgufFile
    plan: sizing.Plan
    pooling: int | None
    batch_tokens: int


def load_model(
    config: ModelConfig,
    free_bytes: int,
    progress: Callable[[Loading], None],
    num_checkpoints: int = LLAMACPP_CHECKPOINTS,
) -> Model:
    """Finds, reads, checks and plans.  Raises EngineFault."""
    paths = sources.find(config.source, progress)
    files = [gguf_file.read(path) for path in paths]
    pooling = files[0].of_model("pooling_type") or None
    _check(files[0], is_chat=pooling is None)
    weights_bytes = sum(file.num_bytes for file in files)
    batch_tokens = BATCH_TOKENS if pooling is None else sizing.embedded_window(files[0])
    plan = sizing.plan(files[0], weights_bytes, free_bytes, config, batch_tokens, num_checkpoints)
    return Model(paths, files[0], plan, pooling, batch_tokens)


def _check(file: GgufFile, *, is_chat: bool) -> None:
    if not file.tokens:
        raise EngineFault(f"{file.path} has no tokenizer.", "Convert the model again with its tokenizer.")
    if is_chat and not file.chat_template:
        raise EngineFault(
            f"{file.path} has no chat template: it is a base model, not made to converse.",
            "Choose the model's instruct or chat version.",
        )
