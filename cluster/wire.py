"""What gateway, front and engine say to each other: one internal turn, one internal stream.

    gateway ── POST /turn   (ticket, TurnRequest) ──> front      answer: a stream of frames
    gateway ── POST /measure (ticket, TurnRequest) ─> front      answer: {"prompt_tokens": int | null}
    gateway ── POST /embed  (ticket, EmbedRequest) ─> front      answer: Embeddings
    router  ── POST /control (ticket, command) ────> front      answer: 204

The ticket stands in the header `x-hearth-ticket`.

Bodies and frames are msgpack maps `{"kind": ..., fields}`; frames follow each other without a separator,
because msgpack values end by themselves.  A stream is

    Started  Progress*  (Tokens | Delta)*  (Ended | Failed)

and a stream that stops without its last frame was lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import msgpack

from cluster.core.ids import SessionKey

TICKET_HEADER = "x-hearth-ticket"

JsonObject = dict[str, Any]
"""A JSON object as a client sent it, validated by the gateway."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens.  None: the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn, whichever wire API it came by.

    Exactly one of `messages` (OpenAI's shape), `prompt` (raw text) and `ids` (a continuation: prompt
    and answer so far, as token ids) is given.  `max_tokens` None: until the model stops.
    """

    turn: str
    session: SessionKey
    model: str
    messages: tuple[JsonObject, ...] | None = None
    prompt: str | None = None
    ids: tuple[int, ...] | None = None
    tools: tuple[JsonObject, ...] = ()
    tool_choice: str | JsonObject = "auto"
    parallel_tool_calls: bool = True
    response_format: JsonObject | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    template_options: JsonObject = field(default_factory=dict[str, Any])

    @property
    def constrained(self) -> bool:
        """Needs a grammar: runs by the engine's own chat and cannot be continued elsewhere."""
        forced = isinstance(self.tool_choice, dict) or self.tool_choice == "required"
        formatted = self.response_format is not None and self.response_format.get("type") != "text"
        return (forced and bool(self.tools)) or formatted

    @property
    def has_images(self) -> bool:
        return any(
            isinstance(part, dict) and part.get("type") == "image_url"
            for message in self.messages or ()
            for part in _parts(message)
        )


def _parts(message: JsonObject) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else []


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    turn: str
    session: SessionKey
    model: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector an input, in order."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Started:
    """The lease is booked.  `prompt_ids` is empty where the engine does not tell (upstreams);
    `prompt_tokens` None likewise.  `continuable`: the answer can go on elsewhere from its ids.
    `formats`: how the model writes reasoning and tool calls, as in `EngineFacts`.  `locality`: where
    the answer is computed, a word of `core.events.Locality`."""

    kind: ClassVar[Literal["started"]] = "started"
    prompt_tokens: int | None
    prompt_ids: tuple[int, ...] = ()
    continuable: bool = False
    formats: tuple[str, ...] = ()
    locality: str = "local"


@dataclass(frozen=True, slots=True)
class Progress:
    """Prefill: `processed` of `total` prompt tokens are done, `cached` of them were resident."""

    kind: ClassVar[Literal["progress"]] = "progress"
    processed: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Generated tokens with the text they complete; the text may lag behind the ids (UTF-8)."""

    kind: ClassVar[Literal["tokens"]] = "tokens"
    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer that an engine's own chat has parsed already (OpenAI's `delta`)."""

    kind: ClassVar[Literal["delta"]] = "delta"
    delta: JsonObject


EndReason = Literal["stop", "length", "tool_calls", "preempted"]


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole, or (`preempted`) has to go on elsewhere.  Sent after the ledger freed it."""

    kind: ClassVar[Literal["ended"]] = "ended"
    reason: EndReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn failed.  `status` and `error` are the contract's; 4xx is the client's fault.

    `code` `no_room`, `stale_ticket` or `draining` on a turn that did not start: it was not booked.
    `prompt_tokens`: the exact prompt size, where it is known.
    """

    kind: ClassVar[Literal["failed"]] = "failed"
    status: int
    code: str
    message: str
    prompt_tokens: int | None = None


Frame = Started | Progress | Tokens | Delta | Ended | Failed
_FRAMES: dict[str, type[Any]] = {
    kind.kind: kind for kind in (Started, Progress, Tokens, Delta, Ended, Failed)
}


def encode_frame(frame: Frame) -> bytes:
    body = {item.name: getattr(frame, item.name) for item in fields(frame)}
    return msgpack.packb({"kind": frame.kind, **body})


class FrameDecoder:
    """Bytes in, whole frames out.

    Raises ValueError on what is not a frame, and where one frame is over `max_bytes`.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=max_bytes)

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._unpacker.feed(data)
        for body in self._unpacker:
            yield _frame(body)


def _frame(body: Any) -> Frame:  # noqa: ANN401 - whatever came over the wire
    try:
        kind = _FRAMES[body.pop("kind")]
        return kind(**{name: _frozen(value) for name, value in body.items()})
    except (AttributeError, KeyError, TypeError) as fault:
        raise ValueError(f"not a frame: {fault}") from fault


def _frozen(value: Any) -> Any:  # noqa: ANN401
    return tuple(value) if isinstance(value, list) else value


def encode_request(request: TurnRequest | EmbedRequest) -> bytes:
    body: JsonObject = {item.name: getattr(request, item.name) for item in fields(request)}
    body["session"] = [request.session.tenant, request.session.session, request.session.generation]
    if isinstance(request, TurnRequest):
        sampling = request.sampling
        body["sampling"] = {item.name: getattr(sampling, item.name) for item in fields(sampling)}
    return msgpack.packb(body)


def decode_turn(data: bytes) -> TurnRequest:
    """Raises ValueError on what is not a turn."""
    try:
        body = msgpack.unpackb(data)
        sampling = Sampling(**{name: _frozen(value) for name, value in body.pop("sampling").items()})
        session = SessionKey(*body.pop("session"))
        rest = {name: _frozen(value) for name, value in body.items()}
        return TurnRequest(session=session, sampling=sampling, **rest)
    except (AttributeError, KeyError, TypeError, msgpack.UnpackException) as fault:
        raise ValueError(f"not a turn: {fault}") from fault


def decode_embed(data: bytes) -> EmbedRequest:
    """Raises ValueError on what is not an embedding request."""
    try:
        body = msgpack.unpackb(data)
        return EmbedRequest(
            turn=body["turn"],
            session=SessionKey(*body["session"]),
            model=body["model"],
            inputs=tuple(body["inputs"]),
        )
    except (KeyError, TypeError, msgpack.UnpackException) as fault:
        raise ValueError(f"not an embedding request: {fault}") from fault


def encode_embeddings(embeddings: Embeddings) -> bytes:
    return msgpack.packb({"vectors": embeddings.vectors, "prompt_tokens": embeddings.prompt_tokens})


def decode_embeddings(data: bytes) -> Embeddings:
    """Raises ValueError on what is not embeddings."""
    try:
        body = msgpack.unpackb(data)
        return Embeddings(tuple(map(tuple, body["vectors"])), body["prompt_tokens"])
    except (KeyError, TypeError, msgpack.UnpackException) as fault:
        raise ValueError(f"not embeddings: {fault}") from fault
