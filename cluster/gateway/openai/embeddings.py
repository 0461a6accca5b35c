"""A body of `/v1/embeddings`, and its answer."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.core.errors import InvalidField
from cluster.core.events import Privacy
from cluster.gateway import sessions
from cluster.gateway.fields import Fields
from cluster.gateway.openai.chat_request import read_model, session_in
from cluster.wire import Embeddings, EmbedRequest, JsonObject

MAX_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """`model` as the client calls it."""

    embed: EmbedRequest
    model: str
    privacy: Privacy
    as_base64: bool


def read_embeddings(body: JsonObject, headers: Mapping[str, str], turn: str) -> EmbeddingsRequest:
    """Raises InvalidField."""
    fields = Fields(body)
    asked = fields.required_text("model")
    model, privacy = read_model(asked)
    encoding = "float"
    if fields.body.get("encoding_format") is not None:
        encoding = fields.word("encoding_format", ("float", "base64"))
    if fields.body.get("dimensions") is not None:
        raise fields.fault("dimensions", "is not supported.", "Leave it out: the model has its own.")
    # Inputs share no prefix that could be resident: each request is a session of its own.
    session = session_in(headers) or sessions.named(f"embed-{turn}", "session")
    embed = EmbedRequest(turn, session, model, _inputs(fields))
    return EmbeddingsRequest(embed, asked, privacy, encoding == "base64")


def _inputs(fields: Fields) -> tuple[str, ...]:
    value = fields.body.get("input")
    inputs = [value] if isinstance(value, str) else (fields.items("input") or [])
    if not inputs or len(inputs) > MAX_INPUTS:
        problem = f"holds {len(inputs)} texts."
        raise fields.fault("input", problem, f"Send a string or a list of 1 to {MAX_INPUTS} strings.")
    for at, text in enumerate(inputs):
        if not isinstance(text, str) or not text:
            raise InvalidField(
                f"input[{at}]", "is not a string, or empty.", "Send text; token ids are not taken."
            )
    return tuple(inputs)


def embeddings_body(model: str, embeddings: Embeddings, as_base64: bool) -> JsonObject:
    data = [
        {"object": "embedding", "index": at, "embedding": _packed(vector) if as_base64 else list(vector)}
        for at, vector in enumerate(embeddings.vectors)
    ]
    usage = {"prompt_tokens": embeddings.prompt_tokens, "total_tokens": embeddings.prompt_tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
