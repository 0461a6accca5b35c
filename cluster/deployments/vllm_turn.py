"""One turn at vLLM: its stream of chunks becomes our stream of frames.

The text is made here from the ids, not taken from vLLM: where a prompt ends in the middle of a character,
which answers that go on elsewhere do, vLLM's own text begins with the whole prompt.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from cluster.deployments import constrained
from cluster.deployments.engine import EngineLost
from cluster.deployments.text import Answer
from cluster.deployments.vllm_server import VllmServer
from cluster.wire import Delta, Ended, EndReason, Frame, JsonObject, Tokens, TurnRequest

EVENT_S = 0.04
"""Tokens that come faster travel in one event, as often as a film's pictures.  An event costs vLLM's server
and our front together some 0.15 ms, whatever it holds (measured)."""

MOST_EVENT_TOKENS = 4
"""Well below the leeway that a front leaves to its leases."""


def event_tokens(decode_tps: float) -> int:
    """Tokens in one event of a sequence that decodes at this speed; the first and the last never wait."""
    return min(max(int(decode_tps * EVENT_S), 1), MOST_EVENT_TOKENS)


def body_of(
    request: TurnRequest,
    ids: tuple[int, ...],
    window_tokens: int,
    salt: str,
    *,
    is_cut: bool,
    event_tokens: int,
) -> JsonObject:
    """`is_cut`: `ids` end in the middle of a character, so that vLLM would look for stop texts in them; then
    we look, after each token."""
    left = window_tokens - len(ids)
    names = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")
    chosen = {name: getattr(request.sampling, name) for name in names}
    body: JsonObject = {
        "prompt": list(ids),
        "max_tokens": left if request.max_tokens is None else min(request.max_tokens, left),
        "return_token_ids": True,
        "stream_interval": 1 if is_cut else event_tokens,
        "cache_salt": salt,
        **{name: value for name, value in chosen.items() if value is not None},
    }
    if request.sampling.stop and not is_cut:
        # The stop text is left in, so that none of the text before it is held back.
        body |= {"stop": list(request.sampling.stop), "include_stop_str_in_output": True}
    if request.constrained:
        body["structured_outputs"] = {"json": constrained.schema_of(request)}
    return body


class VllmTurn:
    """`opening`: what the prompt wrote of the answer already; it comes before the answer's text."""

    def __init__(
        self, server: VllmServer, request: TurnRequest, body: JsonObject, answer: Answer, opening: str = ""
    ) -> None:
        self._server, self._request, self._body = server, request, body
        self._answer, self._opening = answer, opening
        self._calls = request.constrained and constrained.forces_tool(request)
        self._reason: str | None = None
        self._usage: JsonObject = {}
        self._num_told = 0
        self._text = ""

    @property
    def has_ended(self) -> bool:
        """Whether vLLM itself has ended its sequence, and holds no memory for it."""
        return self._reason is not None

    async def frames(self) -> AsyncGenerator[Frame]:
        """Raises Refused and EngineLost."""
        async with aclosing(self._server.stream("/v1/completions", self._body)) as chunks:
            async for chunk in chunks:
                self._usage = chunk.get("usage") or self._usage
                for frame in self._frames(chunk["choices"]):
                    yield frame
                if self._answer.is_stopped and "stop" not in self._body:
                    break
        for frame in self._ended():
            yield frame

    def _frames(self, choices: list[JsonObject]) -> list[Frame]:
        frames: list[Frame] = []
        for choice in choices:
            ids = list(choice["token_ids"] or ())
            self._num_told += len(ids)
            self._reason = choice["finish_reason"]
            if self._reason == "stop" and not isinstance(choice["stop_reason"], str):
                ids.pop()  # the token that ends the answer is no part of it
            for token in ids:
                if not self._answer.is_stopped:
                    frames += self._tell(*self._answer.add(token))
        return frames

    def _tell(self, ids: list[int], text: str) -> list[Frame]:
        if not ids and not text:
            return []
        if not self._request.constrained:
            text, self._opening = self._opening + text, ""
            return [Tokens(tuple(ids), text)]
        self._text += text
        return [] if self._calls or not text else [Delta({"content": text})]

    def _ended(self) -> list[Frame]:
        frames = [] if self._answer.is_stopped else self._tell(*self._answer.end())
        call = constrained.tool_delta(self._text, self._request.turn) if self._calls else None
        if call:
            frames.append(Delta(call))
        details = self._usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        return [*frames, Ended(self._end_reason(call), len(self._body["prompt"]), cached, self._num_told)]

    def _end_reason(self, call: JsonObject | None) -> EndReason:
        if call:
            return "tool_calls"
        if self._answer.is_stopped or self._reason == "stop":
            return "stop"
        if self._reason == "length":
            return "length"
        raise EngineLost(f"the answer broke off: {self._reason or 'nothing more came'}")
