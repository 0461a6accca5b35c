"""The last words of `hearth up`: where the pool is, what to try, how to connect an agent, what lies here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cluster.cli.choice import chat_models, choose_model
from cluster.cli.terminal import command, out, size_words
from cluster.config import GUIDE
from cluster.inventory.weights import FoundWeights, find_weights

if TYPE_CHECKING:
    from cluster.cli.starting import Started

MAX_WEIGHTS = 5
MAX_OUTPUT_TOKENS = 8192
"""An agent's own limit for one answer; a quarter of the window where that is less."""


def describe(started: "Started") -> dict[str, Any]:
    """What `hearth up --json` says."""
    return {
        "state": "running",
        "was_running": started.was_running,
        "seconds": round(started.seconds, 2),
        "pid": started.state.pid,
        "urls": urls(started),
        "models": list(started.models),
        "added_upstreams": [engine.kind for engine in started.plan.added],
        "openclaw": openclaw_entry(started),
    }


def urls(started: "Started") -> dict[str, str]:
    state = started.state
    return {
        "console": f"{state.http_url}/",
        "api": f"{state.http_url}/v1",
        "grpc": f"127.0.0.1:{state.grpc_port}",
    }


def welcome(started: "Started") -> None:
    if started.was_running:
        out.print("[green]✓[/] The pool runs already.")
    else:
        out.print(f"[green]✓[/] The pool is ready after {started.seconds:.1f} s.")
    _print_urls(started)
    _print_added(started)
    if started.was_running:
        return
    _print_tries(started)
    _print_openclaw(started)
    _print_weights()


def _print_urls(started: "Started") -> None:
    for name, url in urls(started).items():
        out.print(f"  {name:<8} [cyan]{url}[/]")
    for model in started.models:
        out.print(f"  model    [bold]{escape(model['id'])}[/] [dim]{model.get('locality', '')}[/]")


def _print_added(started: "Started") -> None:
    for engine in started.plan.added:
        local = sum(model.local for model in engine.models)
        models = "1 model" if len(engine.models) == 1 else f"{len(engine.models)} models"
        out.print(
            f"  added    {engine.kind} at {engine.url}: {models}, {local} of them local"
            " [dim](leave it out: --no-discover)[/]"
        )


def _print_tries(started: "Started") -> None:
    url = started.state.http_url
    out.print("\n[bold]Three things to try[/]")
    out.print(f'  {command()} chat "How do I add a model?"')
    out.print(f"  open {url}/ in a browser")
    body = json.dumps(
        {"model": choose_model(started.models) or GUIDE, "messages": [{"role": "user", "content": "Hello"}]}
    )
    out.print(
        f"  curl {url}/v1/chat/completions -H 'content-type: application/json' \\\n    -d '{body}'",
        markup=False,
    )
    out.print("\n[bold]A real model[/] from a GGUF on this disk")
    out.print(f"  {command()} down && {command()} up --model /path/to/model.gguf")


def _print_openclaw(started: "Started") -> None:
    out.print("\n[bold]For OpenClaw[/], below `models.providers` of its configuration")
    print(json.dumps(openclaw_entry(started), indent=2))


def openclaw_entry(started: "Started") -> dict[str, Any]:
    """The provider entry of this pool: ids and windows of all that answer chats, or will when loaded.

    With `compat` it names the session of each turn, so that its next turn finds the KV of the last.
    """
    return {
        "hearth": {
            "baseUrl": f"{started.state.http_url}/v1",
            "apiKey": "local",
            "api": "openai-completions",
            "models": [_openclaw_model(model) for model in chat_models(started.models)],
        }
    }


def _openclaw_model(model: Mapping[str, Any]) -> dict[str, Any]:
    window = int(model.get("context_window") or model.get("max_model_len") or 0)
    return {
        "id": model["id"],
        "name": model["id"],
        "contextWindow": window,
        "maxTokens": min(MAX_OUTPUT_TOKENS, window // 4),
        "compat": {"supportsPromptCacheKey": True, "sendSessionAffinityHeaders": True},
    }


def _print_weights() -> None:
    found = find_weights(Path.home())
    if not found:
        return
    out.print("\n[bold]Weights on this disk[/], no download needed")
    for weights in found[:MAX_WEIGHTS]:
        out.print(f"  {escape(command_for(weights))}  [dim]{size_words(weights.size_bytes)}[/]")
    if len(found) > MAX_WEIGHTS:
        out.print(f"  [dim]{len(found) - MAX_WEIGHTS} more: {command()} doctor[/]")


def command_for(weights: FoundWeights) -> str:
    return f"{command()} up --model '{weights.path}'"
