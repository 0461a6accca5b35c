"""`hearth chat`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cluster.cli.answer import Answer
from cluster.cli.terminal import REFUSED, AsJson, CommandFailed, err, print_json, speaking

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
        answer = Answer(chosen, shown=not as_json)
        _listen(state, answer, chosen, [{"role": "user", "content": text}])
        if as_json:
            print_json(answer.body())


def _choose(state: "PoolState") -> str:
    from cluster.cli.choice import choose_model
    from cluster.cli.client import get_json

    chosen = choose_model(get_json(state, "/v1/models")["data"])
    if chosen is None:
        raise CommandFailed("No local model is ready.", "Look at hearth status, and name one: --model ID")
    return chosen


def _converse(state: "PoolState", model: str) -> None:
    err.print(
        f"[dim]{escape(model)} answers. Ctrl-C ends an answer, an empty line or Ctrl-D the conversation.[/]"
    )
    messages: Messages = []
    while line := _read_line():
        messages.append({"role": "user", "content": line})
        answer = Answer(model, shown=True)
        try:
            _listen(state, answer, model, messages)
        except KeyboardInterrupt:
            err.print("[dim]Stopped.[/]")
        if answer.content:
            messages.append({"role": "assistant", "content": answer.content})
        else:
            messages.pop()  # two questions in a row are more than some models can read


def _read_line() -> str:
    try:
        return input("\nyou: ").strip()
    except EOFError:
        return ""


def _listen(state: "PoolState", answer: Answer, model: str, messages: Messages) -> None:
    """One turn, printed as it comes."""
    from contextlib import closing

    from cluster.cli.client import stream_chat

    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    try:
        with closing(stream_chat(state, body)) as chunks:
            for chunk in chunks:
                answer.take(chunk)
    finally:
        answer.close()
