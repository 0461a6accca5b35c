"""An upstream's chat stream becomes our stream of frames, and its errors the contract's."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from cluster.core.errors import ContextLengthExceeded, Overloaded
from cluster.deployments.engine import EngineLost
from cluster.deployments.overflow import read_overflow
from cluster.wire import Delta, Ended, EndReason, Failed, Frame, JsonObject, Progress, TurnRequest

_REASONS: Mapping[str, EndReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "stop",
}
_BYTES_PER_TOKEN = 4  # only where an upstream sends no usage


class StreamReader:
    """Chunks of one answer in, frames out."""

    def __init__(self, request: TurnRequest) -> None:
        self._prompt_bytes = len(json.dumps(request.messages))
        self._num_deltas = 0
        self._reason: EndReason | None = None
        self._usage: JsonObject = {}

    async def frames(self, chunks: AsyncIterator[JsonObject]) -> AsyncGenerator[Frame]:
        """Raises EngineLost where the stream ends before its answer, UpstreamError on an error in it."""
        async for chunk in chunks:
            if "error" in chunk:
                raise UpstreamError.of_body(500, chunk)
            self._usage = chunk.get("usage") or self._usage
            for frame in self._read(chunk):
                yield frame
        if self._reason is None:
            raise EngineLost("the upstream's stream stopped before its answer ended")
        yield self._ended(self._reason)

    def _read(self, chunk: JsonObject) -> list[Frame]:
        if progress := chunk.get("prompt_progress"):
            return [Progress(progress["processed"], progress["total"], progress["cache"])]
        choice = next(iter(chunk.get("choices") or ()), None) or {}
        if finished := choice.get("finish_reason"):
            self._reason = _REASONS.get(finished, "stop")
        delta = choice.get("delta") or {}
        told = {key: value for key, value in delta.items() if key != "role" and value not in (None, "", [])}
        self._num_deltas += bool(told)
        return [Delta(told)] if told else []

    def _ended(self, reason: EndReason) -> Ended:
        details = self._usage.get("prompt_tokens_details") or {}
        return Ended(
            reason,
            self._usage.get("prompt_tokens") or self._prompt_bytes // _BYTES_PER_TOKEN,
            details.get("cached_tokens") or 0,
            self._usage.get("completion_tokens") or self._num_deltas,
        )


class UpstreamError(Exception):
    """The upstream answered with an error."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.status, self.words = status, words

    @classmethod
    def of_body(cls, status: int, body: object) -> "UpstreamError":
        error = body.get("error", body) if isinstance(body, dict) else body
        if not isinstance(error, dict):
            return cls(status, str(error))
        told = error.get("code")
        status = told if isinstance(told, int) and 400 <= told < 600 else status
        words = [str(error.get(key)) for key in ("message", "type", "code") if error.get(key)]
        return cls(status, " ".join(words))


def failure(error: UpstreamError, upstream: str, window: int, max_tokens: int | None) -> Failed:
    """The client's fault as 400, ours as 500 or 503.  Raises EngineLost for a fault of the upstream."""
    overflow = read_overflow(error.words)
    if overflow is not None:
        prompt = overflow.prompt or window
        completion = overflow.completion if overflow.completion is not None else max_tokens or 0
        fault = ContextLengthExceeded(overflow.window or window, prompt, completion)
        return Failed(fault.status, fault.code, fault.message, overflow.prompt)
    if error.status == 429:
        busy = Overloaded(f"the upstream {upstream} limits its rate")
        return Failed(busy.status, busy.code, busy.message)
    if error.status in (401, 403, 404):
        words = f"The upstream {upstream} refuses: {error.words} Check its key, its address and its models."
        return Failed(500, "server_error", words)
    if 400 <= error.status < 500 and error.status != 408:
        return Failed(400, "invalid_request", error.words)
    raise EngineLost(f"the upstream {upstream} failed with status {error.status}")
