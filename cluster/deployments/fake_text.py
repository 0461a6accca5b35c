"""The language of the fake engine: one token a UTF-8 byte, and a few marks that no text can contain.

    messages   (mark of the role, bytes of the content, END)*  ASSISTANT
    prompt     bytes  ASSISTANT

The answer is a function of the ids alone, so an answer goes on from any of its ids.
"""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.wire import JsonObject, TurnRequest

ASSISTANT, END, USER, SYSTEM, TOOL = range(256, 261)
_ROLES = {"assistant": ASSISTANT, "user": USER, "system": SYSTEM, "developer": SYSTEM, "tool": TOOL}


def render(request: TurnRequest) -> tuple[int, ...]:
    """The ids of a turn; those of a continuation are given."""
    if request.ids is not None:
        return request.ids
    if request.prompt is not None:
        return (*request.prompt.encode(), ASSISTANT)
    ids: list[int] = []
    for message in request.messages or ():
        ids += [_ROLES.get(message["role"], USER), *content_text(message).encode(), END]
    return (*ids, ASSISTANT)


def content_text(message: JsonObject) -> str:
    content: Any = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def decode(ids: Sequence[int]) -> str:
    return bytes(token for token in ids if token < 256).decode(errors="replace")


def split(ids: Sequence[int]) -> tuple[str, bytes]:
    """What is asked, and the bytes of the answer that are there already."""
    ids = list(ids)
    if ASSISTANT not in ids:
        return decode(ids), b""
    start = len(ids) - ids[::-1].index(ASSISTANT)
    asked = ids[: start - 1]
    last = max((place for place, token in enumerate(asked) if token == USER), default=-1)
    question = asked[last + 1 :]
    end = question.index(END) if END in question else len(question)
    return decode(question[:end]), bytes(ids[start:])


def answer_to(
    ids: Sequence[int], answer: str | None, answers: Mapping[str, str], stop: Sequence[str]
) -> tuple[bytes, int]:
    """The whole answer's bytes, and how many of them are there already.

    A scripted answer to this very question, else `answer`, else the question as an echo; cut at the first
    of the `stop` strings.
    """
    question, begun = split(ids)
    text = answers.get(question, question if answer is None else answer)
    cuts = [place for word in stop if (place := text.find(word)) >= 0]
    return text[: min(cuts, default=len(text))].encode(), len(begun)


class Utf8:
    """Bytes in, whole characters out; begins after the bytes `begun`."""

    def __init__(self, begun: bytes = b"") -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._decoder.decode(begun)

    def feed(self, data: bytes) -> str:
        return self._decoder.decode(data)
