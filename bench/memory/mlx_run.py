"""`python -m bench.memory.mlx_run`: a row of JSON for each kind, of what MLX itself says that it holds.

In float32: MLX's experts compute in nothing else on processors.
"""

import importlib
import json
from typing import Any

from bench.memory.mlx_kinds import KINDS, PLAIN, SIZES
from cluster.core.layout import EngineKind
from cluster.core.memory.cache import Keeping, session_bytes
from cluster.core.memory.config import shape_of_config
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.quantisation import quantisation_named
from cluster.core.memory.shares import shares_of

NUM_TOKENS = 512
"""Two of the steps in which caches grow, and more than any window."""


def main() -> None:
    for kind in KINDS:
        config = PLAIN | {"model_type": kind} | KINDS[kind] | SIZES.get("", {}) | SIZES.get(kind, {})
        weights = shares_of(parameters_of_config(config), quantisation_named("f32"))
        kv_bytes = session_bytes(shape_of_config(config), Keeping("f32", EngineKind.MLX), NUM_TOKENS)
        planned = {"weights_planned_bytes": weights.num_bytes, "kv_planned_bytes": kv_bytes}
        print(json.dumps({"memory_kind": kind, **planned, **_told(kind, config)}), flush=True)


def _told(kind: str, config: dict[str, object]) -> dict[str, int]:
    """KV by the caches' own count, all by the allocator's.  The last token is written by itself, because a
    prompt leaves more in a window than it needs."""
    mx: Any = importlib.import_module("mlx.core")
    caches: Any = importlib.import_module("mlx_lm.models.cache")
    module: Any = importlib.import_module(f"mlx_lm.models.{kind}")
    before_bytes = mx.get_active_memory()
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    cache = caches.make_prompt_cache(model)
    for tokens in (mx.arange(NUM_TOKENS - 1)[None] % 100, mx.array([[1]])):
        model(tokens, cache=cache)
        mx.eval([layer.state for layer in cache])
    kv_bytes = sum(layer.nbytes for layer in cache)
    return {"kv_told_bytes": kv_bytes, "total_told_bytes": mx.get_active_memory() - before_bytes}


if __name__ == "__main__":
    main()
