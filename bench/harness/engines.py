"""The engines that benches measure, as entries of `models` in hearth.yaml: the same small weights for all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.models import checkpoint, tiny
from cluster.models.tiny import Shape

SHAPE = Shape(
    layers=4,
    width=256,
    heads=8,
    kv_heads=4,
    hidden=768,
    template="reciting",
    architecture="qwen2",
    window=4096,
)
"""qwen2, because mlx-lm can cut it by heads and by layers.  It never ends its answers by itself."""

SLOTS, CONTEXT_TOKENS = 8, 16384


@dataclass(frozen=True, slots=True)
class BenchedEngine:
    """`kind`: how it is asked directly.  `base`: its sibling of one rank."""

    name: str
    kind: str
    base: str
    num_nodes: int = 1
    settings: dict[str, Any] = field(default_factory=dict)


ENGINES = {
    engine.name: engine
    for engine in (
        BenchedEngine("llamacpp", "llamacpp", "llamacpp"),
        BenchedEngine("vllm", "vllm", "vllm"),
        BenchedEngine("vllm-tp2", "vllm", "vllm", settings={"tensor_parallel": 2}),
        BenchedEngine("vllm-tp2-2nodes", "vllm", "vllm", 2, {"tensor_parallel": 2}),
        BenchedEngine("mlx", "mlx", "mlx"),
        BenchedEngine("mlx-tp2", "mlx", "mlx", settings={"tensor_parallel": 2}),
        BenchedEngine("mlx-pp2", "mlx", "mlx", settings={"pipeline_parallel": 2}),
    )
}


def model_of(engine: BenchedEngine, folder: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """The entry of this engine, whose weights are written into `folder` once."""
    source = folder / "random.gguf"
    if not source.exists():
        tiny.write(source, SHAPE)
    if engine.kind != "llamacpp":
        weights, source = source, folder / "random"
        if not source.exists():
            checkpoint.write_hugging_face(source, checkpoint.read(weights))
    told = {"name": engine.name, "source": str(source), "engine": engine.kind, "kv_type": "f32"}
    return {**told, "slots": SLOTS, "context_tokens": CONTEXT_TOKENS, **engine.settings, **more}
