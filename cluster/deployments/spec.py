"""What a replica is told to run."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cluster.config import ModelConfig, UpstreamConfig
from cluster.core.layout import Layout
from cluster.core.slots import LLAMACPP_CHECKPOINTS
from cluster.deployments.engine import Engine
from cluster.deployments.gang import Host


class ReplicaSpec(BaseModel):
    """`settings` are those of the engine kind: FakeSettings, ModelConfig, or UpstreamConfig with the
    `model` that this replica stands for.  The front listens on `host`; empty: on `node`'s own address.  An
    engine that loads weights holds at most `memory_bytes`; 0: what it finds free.  `layout`: what the
    router chose, None for an upstream; `memory_bytes` is then that of its first shard.  A start that takes
    longer than `load_timeout_s` is given up; None: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: str
    node: str
    engine: Literal["fake", "llamacpp", "vllm", "mlx", "upstream"]
    settings: dict[str, Any]
    host: str = ""
    memory_bytes: int = 0
    layout: Layout | None = None
    load_timeout_s: float | None = None


def make_engine(spec: ReplicaSpec, hosts: Sequence[Host] = ()) -> Engine:
    """A new engine, not started; its ranks run on `hosts`, one each, rank 0 first.

    Raises pydantic's ValidationError on settings that are not its kind's.
    """
    match spec.engine:
        case "fake":
            from cluster.deployments.fake import FakeEngine, FakeSettings

            return FakeEngine(FakeSettings.model_validate(spec.settings), hosts=hosts)
        case "llamacpp":
            return _llamacpp(spec)
        case "vllm":
            from cluster.deployments.vllm import VllmEngine

            assert spec.layout is not None
            return VllmEngine(ModelConfig.model_validate(spec.settings), spec.layout, hosts)
        case "mlx":
            from cluster.deployments.mlx import MlxEngine

            assert spec.layout is not None
            return MlxEngine(ModelConfig.model_validate(spec.settings), spec.layout, hosts)
        case "upstream":
            from cluster.deployments.upstream import UpstreamEngine

            settings = dict(spec.settings)
            model = settings.pop("model")
            return UpstreamEngine(UpstreamConfig.model_validate(settings), model)


def _llamacpp(spec: ReplicaSpec) -> Engine:
    """In exactly the layout's context, where there is one; else as much as fits."""
    from cluster.deployments.llamacpp import LlamaCppEngine, free_memory_bytes

    config, layout, limit = ModelConfig.model_validate(spec.settings), spec.layout, spec.memory_bytes
    on_cards, num_checkpoints = False, None
    if layout is not None:
        config, num_checkpoints = laid_out(config, layout), layout.num_checkpoints
        on_cards = layout.shards[0].num_gpus > 0

    def free_bytes() -> int:
        if on_cards:  # main memory says nothing of a card's
            return limit
        return min(limit, free_memory_bytes()) if limit else free_memory_bytes()

    usual = LLAMACPP_CHECKPOINTS
    return LlamaCppEngine(config, free_bytes, usual if num_checkpoints is None else num_checkpoints)


def laid_out(config: ModelConfig, layout: Layout) -> ModelConfig:
    """The settings with what the layout chose for them."""
    chosen = {"source": layout.source, "context_tokens": layout.context_tokens}
    return config.model_copy(update={**chosen, "slots": layout.num_slots or config.slots})
