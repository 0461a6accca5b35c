"""Pieces of an answer as chunks of a stream, or joined into one message."""

import json
from dataclasses import dataclass

from cluster.core.errors import HearthError
from cluster.gateway.pieces import Content, Finished, Placed, Queued, Reasoning, Said, ToolCall, Usage
from cluster.wire import JsonObject

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks of one answer share.  `created`: seconds since 1970, for people."""

    id: str
    created: int
    model: str


def event(body: JsonObject) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def error_event(error: HearthError) -> bytes:
    return event({"error": error.to_wire()})


def usage_body(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def computed_body(placed: Placed | None, session: str) -> JsonObject:
    """Where the answer was computed, for clients whose headers could only say `pending`."""
    if placed is None:
        return {"session": session}
    return {
        "node": placed.node,
        "engine": placed.engine,
        "locality": placed.locality,
        "session": session,
    }


def waiting_body(queued: Queued) -> JsonObject:
    """What a turn waits for, for clients that show it."""
    waits: JsonObject = {"position": queued.position, "estimate_s": round(queued.estimate_s, 1)}
    if not queued.loading:
        return {"state": "waiting", **waits}
    return {"state": "loading", "stage": queued.loading, "fraction": queued.fraction, **waits}


class Chunks:
    """`own_usage`: usage in a last chunk without choices, as OpenAI sends it to those who ask for it;
    others read `choices[0]` of every chunk, so they find it beside the finish reason."""

    def __init__(self, head: Head, own_usage: bool) -> None:
        self._head, self._own_usage = head, own_usage

    def empty(self, queued: Queued | None = None) -> bytes:
        """The role and no text: the first chunk, and a sign of life later that says what is waited for."""
        extra = None if queued is None else {"hearth": waiting_body(queued)}
        return self._chunk({"role": "assistant", "content": ""}, extra=extra)

    def said(self, piece: Said) -> bytes:
        return self._chunk(_delta(piece))

    def last(self, finished: Finished, computed: JsonObject) -> bytes:
        extra = {"usage": usage_body(finished.usage), "hearth": computed}
        if not self._own_usage:
            return self._chunk({}, finished.reason, extra) + DONE
        return self._chunk({}, finished.reason) + event({**self._body([]), **extra}) + DONE

    def _chunk(self, delta: JsonObject, reason: str | None = None, extra: JsonObject | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._body([choice]), **(extra or {})})

    def _body(self, choices: list[JsonObject]) -> JsonObject:
        head = self._head
        return {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        }


def _delta(piece: Said) -> JsonObject:
    match piece:
        case Content(text):
            return {"content": text}
        case Reasoning(text):
            return {"reasoning_content": text}
        case ToolCall(index, arguments, call_id, name):
            call: JsonObject = {"index": index, "function": {"arguments": arguments}}
            if call_id is not None:
                call |= {"id": call_id, "type": "function"}
            if name is not None:
                call["function"]["name"] = name
            return {"tool_calls": [call]}


class Message:
    """Joins pieces into the message of an answer that is not streamed."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, JsonObject] = {}

    def add(self, piece: Said) -> None:
        match piece:
            case Content(text):
                self._content.append(text)
            case Reasoning(text):
                self._reasoning.append(text)
            case ToolCall(index, arguments, call_id, name):
                self._add_call(index, arguments, call_id, name)

    def _add_call(self, index: int, arguments: str, call_id: str | None, name: str | None) -> None:
        call = self._calls.setdefault(
            index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = call_id or call["id"]
        call["function"]["name"] = name or call["function"]["name"]
        call["function"]["arguments"] += arguments

    def body(self, head: Head, finished: Finished, computed: JsonObject) -> JsonObject:
        """A `chat.completion`."""
        choice = {
            "index": 0,
            "message": self._message(),
            "logprobs": None,
            "finish_reason": finished.reason,
        }
        return {
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [choice],
            "usage": usage_body(finished.usage),
            "hearth": computed,
        }

    def _message(self) -> JsonObject:
        content = "".join(self._content)
        message: JsonObject = {"role": "assistant", "content": content, "refusal": None}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
            message["content"] = content or None
        return message
