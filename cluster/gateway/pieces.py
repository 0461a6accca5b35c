"""What a turn says on its way to the client, whichever wire API it came by."""

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits: `position` 1 is next.

    `loading`: the stage in which its model is on its way, empty where it does not wait for that;
    `fraction` 0..1 of the stage, None where it cannot be known.
    """

    position: int
    estimate_s: float
    loading: str = ""
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """From here the turn is not refused any more: send the status line."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A replica has begun; after a lost stream this comes again, for another one."""

    node: str
    engine: str
    locality: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing has been said for a while: show the client that somebody is there."""


@dataclass(frozen=True, slots=True)
class Content:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A piece of call `index`: the first one has its id and name, `arguments` is JSON text that goes on."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens.  `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole.  Always the last piece."""

    reason: FinishReason
    usage: Usage


Said = Content | Reasoning | ToolCall
"""A piece of the answer itself."""

Piece = Queued | Committed | Placed | Silence | Said | Finished
