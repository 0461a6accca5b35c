"""`hearth chat`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.terminal import REFUSED, AsJson, CommandFailed, err, out, print_json, speaking

if TYPE_CHECKING:
    from cluster.pool.state import PoolState

Messages = list[dict[str, str]]


def chat(
    message: Annotated[str, typer.Argument(help="What to say. None: a conversation.")] = "",
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Who answers. Default: a local model, else the guide."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Talk to a model of the pool.

    Example: `hearth chat "Why is my turn queued?"`
    """
    with speaking(as_json):
        from cluster.cli.client import require_pool
        from cluster.pool.paths import pool_paths

        state = require_pool(pool_paths())
        chosen = model or _choose(state)
        if not message and sys.stdin.isatty() and not as_json:
            _converse(state, chosen)
            return
        text = message or sys.stdin.read().strip()
        if not text:
            raise CommandFailed("There is no message.", 'Give one: hearth chat "Hello"', REFUSED)
        answer = _turn(state, chosen, [{"role": "user", "content": text}], shown=not as_json)
        if as_json:
            print_json(answer)


def _choose(state: "PoolState") -> str:
    from cluster.cli.choice import choose_model
    from cluster.cli.client import get_json

    chosen = choose_model(get_json(state, "/v1/models")["data"])
    if chosen is None:
        raise CommandFailed("No local model is ready.", "Look at hearth status, and name one: --model ID")
    return chosen


def _converse(state: "PoolState", model: str) -> None:
    err.print(f"[dim]{model} answers. An empty line or Ctrl-D ends the conversation.[/]")
    messages: Messages = []
    while line := _read_line():
        messages.append({"role": "user", "content": line})
        answer = _turn(state, model, messages, shown=True)
        messages.append({"role": "assistant", "content": answer["content"]})


def _read_line() -> str:
    try:
        return input("\nyou: ").strip()
    except EOFError:
        return ""


def _turn(state: "PoolState", model: str, messages: Messages, shown: bool) -> dict[str, Any]:
    """One turn, printed as it comes.  Returns the answer and where it was computed."""
    from cluster.cli.client import stream_chat
    from cluster.cli.markdown import MarkdownStream

    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    headers: dict[str, str] = {}
    parts: list[str] = []
    usage, finish = None, None
    page = MarkdownStream(out) if shown else None
    for chunk in stream_chat(state, body):
        headers = chunk.get("headers", headers)
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", ()):
            finish = choice.get("finish_reason") or finish
            text = choice.get("delta", {}).get("content") or ""
            parts.append(text)
            if page is not None:
                page.feed(text)
    if page is not None:
        page.close()
    where = {key: headers.get(f"x-hearth-{key}", "") for key in ("node", "engine", "locality")}
    return {"model": model, "content": "".join(parts), "finish_reason": finish, "usage": usage, **where}
