"""One turn at llama.cpp: its stream of chunks becomes our stream of frames."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from cluster.core.errors import ContextLengthExceeded
from cluster.deployments import constrained
from cluster.deployments.llamacpp_server import LlamaServer, Refused
from cluster.deployments.partials import Partials, begun
from cluster.wire import (
    Delta,
    Ended,
    EndReason,
    Failed,
    Frame,
    JsonObject,
    Progress,
    Sampling,
    Tokens,
    TurnRequest,
)

END_REASONS: dict[str, EndReason] = {"eos": "stop", "word": "stop", "limit": "length"}
# Without this the last chunk repeats the whole prompt as text.
_LAST_FIELDS = ["content", "tokens", "stop", "stop_type", "tokens_predicted"]


def completion_body(ids: tuple[int, ...], slot: int, sampling: Sampling, left: int | None) -> JsonObject:
    body: JsonObject = {
        "prompt": list(ids),
        "id_slot": slot,
        "cache_prompt": True,
        "return_tokens": True,
        "return_progress": True,
        "response_fields": _LAST_FIELDS,
        "n_predict": -1 if left is None else left,
        "stop": list(sampling.stop),
    }
    names = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")
    chosen = {name: getattr(sampling, name) for name in names}
    return body | {name: value for name, value in chosen.items() if value is not None}


class FreeTurn:
    """A turn by ids.  Each Tokens frame holds the ids of exactly its text, so that a journal of frames can
    go on anywhere."""

    def __init__(
        self,
        server: LlamaServer,
        partials: Partials,
        ids: tuple[int, ...],
        slot: int,
        request: TurnRequest,
        opening: str = "",
    ) -> None:
        """`opening`: what the prompt wrote of the answer already; it comes before the answer's text."""
        self._server, self._partials = server, partials
        self._prompt, self._slot = ids, slot
        self._sampling, self._max_tokens = request.sampling, request.max_tokens
        self._answer: list[int] = []
        # Ids whose text the engine keeps back, because it may be the beginning of a stop text.
        self._held: list[int] = []
        self._max_held = max(map(len, request.sampling.stop), default=0)
        self._pending = partials.unfinished(ids)
        self._opening = opening
        self._cached = 0
        self._reason: EndReason | None = None
        self._num_unknown = 0

    async def frames(self) -> AsyncGenerator[Frame]:
        """Raises Refused and EngineLost."""
        while self._reason is None:
            self._num_unknown = 0
            async with aclosing(self._stream()) as frames:
                async for frame in frames:
                    yield frame
            if self._num_unknown:
                yield await self._repeat(self._num_unknown)
        yield Ended(self._reason, len(self._prompt), self._cached, len(self._answer))

    async def _stream(self) -> AsyncGenerator[Frame]:
        """Until the answer ends, or an id cannot be known."""
        num_told = 0
        async with aclosing(self._server.stream("/completion", self._body(self._left()))) as chunks:
            async for chunk in chunks:
                if "prompt_progress" in chunk:
                    frame = self._progress(chunk["prompt_progress"])
                else:
                    ids = self._ids(chunk, num_told)
                    if self._num_unknown:
                        return
                    num_told = chunk["tokens_predicted"]
                    frame = self._take(ids, chunk.get("content", ""))
                if frame is not None:
                    yield frame

    def _ids(self, chunk: JsonObject, num_told: int) -> list[int]:
        """All ids of a chunk, which itself tells the last one only."""
        told = [] if chunk["stop"] else chunk["tokens"]
        missing = chunk["tokens_predicted"] - num_told - len(told)
        if missing:
            found = (
                None if self._held or not told else self._partials.find(chunk["content"], told[-1], missing)
            )
            if found is None:
                self._num_unknown = len(self._held) + missing + len(told)
                return []
            told = [*found, *told]
        if chunk["stop"]:
            self._reason = END_REASONS[chunk["stop_type"]]
        return told

    async def _repeat(self, num_tokens: int) -> Tokens:
        """Computes tokens again, unseen so far, in one answer that tells every id."""
        self._held.clear()
        whole = await self._server.complete(self._body(num_tokens))
        ids, text = whole["tokens"], whole["content"]
        if whole["stop_type"] != "limit" or len(ids) < num_tokens or len(ids) == self._left():
            self._reason = END_REASONS[whole["stop_type"]]
        unfinished = self._partials.unfinished([*self._prompt, *self._answer, *ids])
        if unfinished and not self._pending:
            text = text.rstrip("\ufffd")
        text, self._pending = self._text(ids, text), unfinished
        return self._frame(ids, text)

    def _body(self, num_tokens: int | None) -> JsonObject:
        ids = (*self._prompt, *self._answer)
        return completion_body(ids, self._slot, self._sampling, num_tokens)

    def _left(self) -> int | None:
        return None if self._max_tokens is None else self._max_tokens - len(self._answer)

    def _progress(self, progress: JsonObject) -> Progress | None:
        if self._answer:
            return None
        self._cached = progress["cache"]
        return Progress(progress["processed"], progress["total"], progress["cache"])

    def _take(self, ids: list[int], content: str) -> Tokens | None:
        self._held += ids
        text = self._text(ids, content)
        if not text and self._reason is None and len(self._held) <= self._max_held:
            return None
        if not self._held and not text:
            return None
        ids, self._held = self._held, []
        return self._frame(ids, text)

    def _frame(self, ids: list[int], text: str) -> Tokens:
        self._answer += ids
        text, self._opening = self._opening + text, ""
        return Tokens(tuple(ids), text)

    def _text(self, ids: list[int], content: str) -> str:
        """The engine's text; but a character that the prompt began is put together from its pieces."""
        if not self._pending:
            return content
        data = self._pending
        for token in ids:
            piece = self._partials.piece(token)
            if piece is None:
                self._pending = b""
                return data.decode(errors="replace") + content
            data += piece
        self._pending = begun(data)
        return data[: len(data) - len(self._pending)].decode(errors="replace")


async def constrained_frames(
    server: LlamaServer, ids: tuple[int, ...], slot: int, request: TurnRequest
) -> AsyncGenerator[Frame]:
    """A turn under a grammar, as deltas.  A forced call comes whole, in one delta."""
    body = completion_body(ids, slot, request.sampling, request.max_tokens)
    body["json_schema"] = constrained.schema_of(request)
    forces_tool, text, cached = constrained.forces_tool(request), "", 0
    async with aclosing(server.stream("/completion", body)) as chunks:
        async for chunk in chunks:
            if progress := chunk.get("prompt_progress"):
                cached = progress["cache"]
                yield Progress(progress["processed"], progress["total"], cached)
            elif not chunk["stop"]:
                text += chunk["content"]
                if not forces_tool and chunk["content"]:
                    yield Delta({"content": chunk["content"]})
            else:
                call = constrained.tool_delta(text, request.turn) if forces_tool else None
                if call:
                    yield Delta(call)
                reason = "tool_calls" if call else END_REASONS[chunk["stop_type"]]
                yield Ended(reason, len(ids), cached, chunk["tokens_predicted"])


def failed(refused: Refused, window: int, max_tokens: int | None) -> Failed:
    """An engine's own error in the words of the contract."""
    if refused.kind == "exceed_context_size_error":
        prompt = int(refused.details.get("n_prompt_tokens", window))
        fault = ContextLengthExceeded(window, prompt, max_tokens or 1)
        return Failed(fault.status, fault.code, fault.message, prompt)
    if 400 <= refused.status < 500:
        return Failed(400, "invalid_request", str(refused))
    return Failed(500, "server_error", f"The engine failed: {refused}")
