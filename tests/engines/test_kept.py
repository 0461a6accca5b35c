"""MLX's own caches are as large as the estimator says, for tiny models of each kind."""

import importlib
from typing import Any

import pytest

from bench.memory.mlx_kinds import KINDS, PLAIN
from cluster.core.layout import EngineKind
from cluster.core.memory.cache import Keeping, session_bytes
from cluster.core.memory.config import shape_of_config

pytestmark = pytest.mark.needs_mlx

NUM_TOKENS = 512
"""Two of the steps in which MLX's caches grow, and more than any window here."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_takes_of_mlx_what_was_estimated(kind: str) -> None:
    config = PLAIN | {"model_type": kind} | KINDS[kind]
    shape = shape_of_config(config)
    assert shape.doubts == ()
    assert _kept_bytes(kind, config) == session_bytes(shape, Keeping("f32", EngineKind.MLX), NUM_TOKENS)


def _kept_bytes(kind: str, config: dict[str, object]) -> int:
    """In float32: MLX's experts compute in nothing else on processors.  The last token is written by itself,
    because a prompt leaves more in a window than it needs."""
    mx: Any = importlib.import_module("mlx.core")
    caches: Any = importlib.import_module("mlx_lm.models.cache")
    module: Any = importlib.import_module(f"mlx_lm.models.{kind}")
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(mx.float32)
    cache = caches.make_prompt_cache(model)
    for tokens in (mx.arange(NUM_TOKENS - 1)[None] % 100, mx.array([[1]])):
        model(tokens, cache=cache)
        mx.eval([layer.state for layer in cache])
    return sum(layer.nbytes for layer in cache)
