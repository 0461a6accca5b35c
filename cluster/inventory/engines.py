"""Engines that run on this machine already, found where they usually listen.

Only loopback is asked, all at once, with one second for everything.  An engine is what its own endpoints
say, not its port.  A model is local only where that is proven: the engine computes by itself, the model is
not one that it forwards, and the port is not the near end of a tunnel.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

DEADLINE_S = 0.9
MAX_MODELS = 200
TUNNELS = frozenset({"ssh", "sshd", "autossh", "socat", "kubectl", "cloudflared", "tailscaled", "ngrok"})


@dataclass(frozen=True, slots=True)
class FoundModel:
    name: str
    local: bool
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class FoundEngine:
    """`kind` names the product, `url` its OpenAI-compatible API.  `slots`: turns at once, where it tells."""

    kind: str
    url: str
    models: tuple[FoundModel, ...]
    slots: int | None = None


Get = Callable[[str], Awaitable[Any]]
"""Path to parsed JSON; None where there is no such thing."""

Probe = Callable[[Get, str], Awaitable[FoundEngine | None]]


async def probe_ollama(get: Get, base: str) -> FoundEngine | None:
    tags = await get("/api/tags")
    if not isinstance(tags, dict) or not isinstance(tags.get("models"), list):
        return None
    return FoundEngine("ollama", f"{base}/v1", _models(tags["models"], "name", _is_ollama_local))


def _is_ollama_local(model: Mapping[str, Any]) -> bool:
    tag = str(model["name"]).rpartition(":")[2]
    forwarded = model.get("remote_host") or model.get("remote_model")
    return not forwarded and tag != "cloud" and not tag.endswith("-cloud")


async def probe_lm_studio(get: Get, base: str) -> FoundEngine | None:
    models = _data(await get("/api/v0/models"))
    if models is None or not all("compatibility_type" in model or "arch" in model for model in models):
        return None
    return FoundEngine("lmstudio", f"{base}/v1", _models(models, "id", context="max_context_length"))


async def probe_llamacpp(get: Get, base: str) -> FoundEngine | None:
    props = await get("/props")
    if not isinstance(props, dict) or "default_generation_settings" not in props:
        return None
    models = _data(await get("/v1/models")) or []
    context = props["default_generation_settings"].get("n_ctx")
    found = _models([{**model, "n_ctx": context} for model in models], "id", context="n_ctx")
    return FoundEngine("llamacpp", f"{base}/v1", found, _positive(props.get("total_slots")))


async def probe_vllm(get: Get, base: str) -> FoundEngine | None:
    models = _data(await get("/v1/models"))
    if not models or any(model.get("owned_by") != "vllm" for model in models):
        return None
    return FoundEngine("vllm", f"{base}/v1", _models(models, "id", context="max_model_len"))


async def probe_unknown(get: Get, base: str) -> FoundEngine | None:
    """Something with a `/v1`, such as mlx_lm.server, which nothing tells from a relay: hosted."""
    models = _data(await get("/v1/models"))
    return FoundEngine("openai", f"{base}/v1", _models(models, "id", lambda model: False)) if models else None


PROBES: Mapping[int, tuple[Probe, ...]] = {
    11434: (probe_ollama,),
    1234: (probe_lm_studio,),
    8080: (probe_llamacpp, probe_unknown),
    8000: (probe_vllm, probe_llamacpp),
}


def find_engines(probes: Mapping[int, tuple[Probe, ...]] = PROBES) -> list[FoundEngine]:
    """Asks every port of `probes` what it is.  Takes a second at most."""
    return asyncio.run(_find_all(probes))


async def _find_all(probes: Mapping[int, tuple[Probe, ...]]) -> list[FoundEngine]:
    # No proxy of the environment may come between this machine and itself.
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client:
        found = await asyncio.gather(*(_find(client, port, probes[port]) for port in probes))
    return [engine for engine in found if engine and engine.models]


async def _find(client: httpx.AsyncClient, port: int, probes: tuple[Probe, ...]) -> FoundEngine | None:
    base = f"http://127.0.0.1:{port}"

    async def get(path: str) -> Any:  # noqa: ANN401
        answer = await client.get(base + path)
        return answer.json() if answer.status_code == 200 else None

    try:
        async with asyncio.timeout(DEADLINE_S):
            for probe in probes:
                if engine := await probe(get, base):
                    return _hosted(engine) if is_tunnel(port) else engine
    except (httpx.HTTPError, ValueError, TypeError, AttributeError, KeyError, TimeoutError):
        pass  # whatever listens there is no engine that we know
    return None


def is_tunnel(port: int) -> bool:
    """Whether the visible owner of this port only carries bytes elsewhere."""
    try:
        sockets = psutil.net_connections(kind="tcp")
        pids = {s.pid for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr.port == port and s.pid}
        return any(psutil.Process(pid).name() in TUNNELS for pid in pids)
    except psutil.Error:
        return False


def _hosted(engine: FoundEngine) -> FoundEngine:
    models = tuple(FoundModel(model.name, False, model.context_tokens) for model in engine.models)
    return FoundEngine(engine.kind, engine.url, models, engine.slots)


def _data(body: object) -> list[dict[str, Any]] | None:
    data = body.get("data") if isinstance(body, dict) else None
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else None


def _models(
    entries: list[dict[str, Any]],
    key: str,
    is_local: Callable[[Mapping[str, Any]], bool] = lambda model: True,
    context: str = "",
) -> tuple[FoundModel, ...]:
    named = [entry for entry in entries if isinstance(entry.get(key), str)][:MAX_MODELS]
    return tuple(FoundModel(entry[key], is_local(entry), _positive(entry.get(context))) for entry in named)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
