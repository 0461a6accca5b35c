"""Who answers where nobody was named."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.config import GUIDE


def ready_models(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of `/v1/models` that answer chats now."""
    return [
        m for m in models if m.get("state", "ready") == "ready" and "chat" in m.get("features", ("chat",))
    ]


def chat_models(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that answer chats now, or once a turn has loaded them."""
    later = ("unloaded", "loading", "unloading")
    asleep = [m for m in models if m.get("state") in later and m.get("context_window")]
    return [*ready_models(models), *(m for m in asleep if "chat" in m.get("features", ()))]


def choose_model(models: Sequence[Mapping[str, Any]]) -> str | None:
    """A local model beside the guide, one that is loaded before one that would have to be; else the guide;
    None where there is neither.

    Never a hosted one: what is said leaves this home only if somebody names such a model.
    """
    asleep = [m for m in models if m.get("state") == "unloaded" and m.get("features") != ["embeddings"]]
    local = [m["id"] for m in (*ready_models(models), *asleep) if m.get("locality") == "local"]
    return next((name for name in local if name != GUIDE), local[0] if local else None)
