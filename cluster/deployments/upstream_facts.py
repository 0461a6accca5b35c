"""What a `/v1` that runs already tells of a model: how long its window is, and what it can do.

Each server tells in its own place; what nobody tells is assumed, and marked as estimated by its user.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cluster.core.events import Feature
from cluster.wire import JsonObject

ASSUMED_WINDOW_TOKENS = 32768
ALL_FEATURES = frozenset({Feature.CHAT, Feature.GRAMMAR, Feature.IMAGES, Feature.EMBEDDINGS})
"""Of a server that does not tell; it will refuse by itself what it cannot do."""

Ask = Callable[..., Awaitable[Any]]
"""`ask(method, path, body)` relative to the server's root; None where it does not answer so."""


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """`window_tokens` None: not told.  `tells_progress`: it can say how far a prompt is."""

    window_tokens: int | None = None
    features: frozenset[Feature] = ALL_FEATURES
    tells_progress: bool = False


async def discover(entry: JsonObject, model: str, ask: Ask) -> UpstreamFacts:
    """`entry`: the model's own in `/v1/models`."""
    if entry.get("owned_by") == "llamacpp":
        return await _llamacpp(entry, ask)
    window = entry.get("max_model_len") or entry.get("context_window") or entry.get("context_length")
    if window:
        return UpstreamFacts(int(window))
    return await _lm_studio(model, ask) or await _ollama(model, ask) or UpstreamFacts()


async def _llamacpp(entry: JsonObject, ask: Ask) -> UpstreamFacts:
    properties = await ask("GET", "/props") or {}
    meta = entry.get("meta") or {}
    window = properties.get("default_generation_settings", {}).get("n_ctx") or meta.get("n_ctx")
    sees = properties.get("modalities", {}).get("vision", False)
    embeds = await ask("POST", "/v1/embeddings", {"input": "x"}) is not None
    lacks = set() if sees else {Feature.IMAGES}
    lacks |= set() if embeds else {Feature.EMBEDDINGS}
    return UpstreamFacts(window or meta.get("n_ctx_train"), ALL_FEATURES - lacks, tells_progress=True)


async def _lm_studio(model: str, ask: Ask) -> UpstreamFacts | None:
    listed = await ask("GET", "/api/v0/models")
    entries = listed.get("data", []) if isinstance(listed, dict) else []
    entry = next((entry for entry in entries if entry.get("id") == model), None)
    if entry is None:
        return None
    window = entry.get("loaded_context_length") or entry.get("max_context_length")
    if entry.get("type") == "embeddings":
        return UpstreamFacts(window, frozenset({Feature.EMBEDDINGS}))
    seeing = {Feature.IMAGES} if entry.get("type") == "vlm" else set()
    return UpstreamFacts(window, frozenset({Feature.CHAT, Feature.GRAMMAR, *seeing}))


async def _ollama(model: str, ask: Ask) -> UpstreamFacts | None:
    shown = await ask("POST", "/api/show", {"model": model})
    if not isinstance(shown, dict) or "model_info" not in shown:
        return None
    able = set(shown.get("capabilities", ("completion",)))
    features = {Feature.CHAT, Feature.GRAMMAR} if "completion" in able else set()
    features |= {Feature.IMAGES} if "vision" in able else set()
    features |= {Feature.EMBEDDINGS} if "embedding" in able else set()
    return UpstreamFacts(await _ollama_window(model, shown, ask), frozenset(features))


async def _ollama_window(model: str, shown: JsonObject, ask: Ask) -> int | None:
    """It loads a model with less context than the model allows, and cuts longer prompts silently."""
    running = await ask("GET", "/api/ps") or {}
    for entry in running.get("models", []):
        if model in (entry.get("name"), entry.get("model")) and entry.get("context_length"):
            return entry["context_length"]
    chosen = re.search(r"^num_ctx\s+(\d+)", shown.get("parameters") or "", re.MULTILINE)
    if chosen:
        return int(chosen[1])
    windows = (value for key, value in shown["model_info"].items() if key.endswith(".context_length"))
    return next(windows, None)
