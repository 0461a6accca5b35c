"""One turn, asked for through the pool or of the engine: the same words, the same parameters."""

from typing import Any

from bench.harness.client import Reply, post
from bench.harness.prompts import Messages

TURN_S = 180.0


def request(model: str, messages: Messages, max_tokens: int, **more: Any) -> bytes:  # noqa: ANN401
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return post("/v1/chat/completions", {**body, **more})


def seen(reply: Reply) -> dict[str, Any]:
    """What a client sees of an answer.  Times are seconds after it was sent, but `sent_s`."""
    texts = [at for at, event in reply.events if _text(event)]
    usage = next((event["usage"] for _, event in reversed(reply.events) if event.get("usage")), {})
    is_whole = reply.status == 200 and any(_reason(event) for _, event in reply.events)
    return {
        "status": reply.status,
        "is_whole": is_whole,
        "sent_s": reply.sent_s,
        "first_byte_s": reply.first_byte_s - reply.sent_s,
        "first_token_s": texts[0] - reply.sent_s if texts else None,
        "last_token_s": texts[-1] - reply.sent_s if texts else None,
        "prompt_tokens": usage.get("prompt_tokens"),
        "cached_tokens": usage.get("prompt_tokens_details", {}).get("cached_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "error": None if is_whole else _error(reply),
    }


def _text(event: dict[str, Any]) -> str:
    delta = event["choices"][0]["delta"] if event.get("choices") else {}
    return delta.get("content") or delta.get("reasoning_content") or ""


def _reason(event: dict[str, Any]) -> str | None:
    return event["choices"][0]["finish_reason"] if event.get("choices") else None


def _error(reply: Reply) -> str:
    told = next((event["error"] for _, event in reply.events if "error" in event), None)
    return str(told or reply.body.decode(errors="replace") or "the stream ended early")[:300]
