"""Which models an upstream has, asked once before its replicas start."""

import os

import httpx

from cluster.config import UpstreamConfig
from cluster.core.errors import InvalidField

ASK_S = 5.0


def upstream_models(upstream: UpstreamConfig) -> tuple[str, ...]:
    """The models to offer: those the config names, else all it lists.

    Raises InvalidField where the upstream cannot be asked: what it has would be a guess.
    """
    if upstream.models is not None:
        return upstream.models
    key = os.environ.get(upstream.api_key_env or "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{upstream.url.rstrip('/')}/models", headers=headers, timeout=ASK_S)
        answer.raise_for_status()
        return tuple(str(entry["id"]) for entry in answer.json()["data"])
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as fault:
        raise InvalidField(
            f"upstreams[{upstream.name}].url",
            f"{upstream.url} does not list its models ({type(fault).__name__}).",
            "Start it, correct the address or the key, or name `models` to wait for it.",
        ) from fault
