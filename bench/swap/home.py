"""The pool of this bench: equal models, and memory for some of them."""

from pathlib import Path
from typing import Any

from bench.swap.settings import SwapSettings
from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, NodeFacts
from cluster.core.plan import plan
from cluster.deployments.wish import wish_of
from cluster.models import tiny
from cluster.models.tiny import Shape

PLENTY_BYTES = 2**40
SPARE = 0.5
"""Of a model: memory beyond that of those which shall fit."""


def config_of(settings: SwapSettings, policy: str, folder: Path) -> dict[str, Any]:
    """hearth.yaml of one side."""
    models = [_model(settings, name, folder) for name in settings.names]
    one = _bytes_of_one(models[0])
    return {
        "models": models,
        "guide": False,
        "node": {"models_bytes": int(one * (settings.fitting + SPARE))},
        "router": {"swap": policy, "swap_wait_s": settings.swap_wait_s},
        "gateway": {"patience_s": settings.answer_s},
    }


def _model(settings: SwapSettings, name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.gguf"
    if not path.exists():
        heads = settings.width // 32
        tiny.write(
            path,
            Shape(
                layers=settings.layers,
                width=settings.width,
                heads=heads,
                kv_heads=heads // 2,
                hidden=3 * settings.width,
                window=settings.context_tokens,
            ),
        )
    return {"name": name, "source": str(path), "context_tokens": settings.context_tokens, "slots": 4}


def _bytes_of_one(model: dict[str, Any]) -> int:
    facts = NodeFacts(models_bytes=PLENTY_BYTES, engines=frozenset({EngineKind.LLAMACPP}))
    node = NodeId("here")
    layout = plan(wish_of(ModelConfig.model_validate(model)), {node: facts}, {node: PLENTY_BYTES})
    assert isinstance(layout, Layout), str(layout)
    return layout.memory_bytes
