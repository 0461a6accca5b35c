"""The weights of one rank, whole or its part, and what is known of the model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import load_model, load_tokenizer

from cluster.deployments.mlx_server.faults import give_up
from cluster.deployments.mlx_server.settings import RankSettings

KINDS = {"tensor": "`tensor_parallel`", "pipeline": "`pipeline_parallel`"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """`model`, `tokenizer`: mlx-lm's.  `group`: all ranks, None where there is only one."""

    model: Any
    tokenizer: Any
    config: dict[str, Any]
    group: Any


def join(settings: RankSettings) -> Any:  # noqa: ANN401 - mlx does not name the class
    """The group of all ranks; None where there is only one."""
    if settings.num_ranks == 1:
        return None
    try:
        return mx.distributed.init(strict=True, backend=settings.backend)
    except RuntimeError as fault:
        give_up(
            f"The ranks did not find each other over `{settings.backend}`: {fault}.",
            "Check that the nodes reach each other and that no firewall stands between them.",
        )


def load(settings: RankSettings, group: Any) -> Loaded:  # noqa: ANN401
    """Gives up with a remedy on what mlx-lm cannot load or cut."""
    folder = Path(settings.model).expanduser()
    try:
        model, config = load_model(folder, lazy=True)
        tokenizer = load_tokenizer(folder, eos_token_ids=config.get("eos_token_id"))
    except (ValueError, OSError, RuntimeError, KeyError, TypeError, AttributeError) as fault:
        give_up(
            f"MLX cannot load {folder}: {fault or type(fault).__name__}.",
            "Check that its files are whole and that mlx-lm knows this architecture, or use another engine.",
        )
    if settings.exact:
        model.set_dtype(mx.float32)
    _cut(model, config, settings, group)
    mx.eval(model.parameters())
    model.eval()
    if group is not None:
        mx.eval(mx.distributed.all_sum(mx.array(1.0), group=group))  # every rank has loaded
    return Loaded(model, tokenizer, config, group)


def _cut(model: Any, config: dict[str, Any], settings: RankSettings, group: Any) -> None:  # noqa: ANN401
    kind = "pipeline" if settings.pipeline_parallel > 1 else "tensor"
    if group is None:
        return
    cut = getattr(model.model, "pipeline", None) if kind == "pipeline" else getattr(model, "shard", None)
    if cut is None:
        other = "tensor_parallel" if kind == "pipeline" else "pipeline_parallel"
        give_up(
            f"mlx-lm cannot split `{config.get('model_type')}` by {KINDS[kind]}.",
            f"Set `{other}` instead, or run the model on one node.",
        )
    try:
        cut(group)
    except ValueError as fault:
        give_up(
            f"The model does not divide into {settings.num_ranks} ranks by {KINDS[kind]}: {fault}.",
            "Choose a number of ranks that divides its heads, or its layers.",
        )
