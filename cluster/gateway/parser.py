"""Reasoning and tool calls out of a model's text.

    format   the model writes
    think    `<think>` reasoning `</think>` content, where the tag is the first thing it writes
    hermes   `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, anywhere in the content

The message is the same however the text is cut into pieces.  Nothing is lost: what looks like a tool call
and is none is given back as text.
"""

import json
from collections.abc import Callable, Collection
from enum import Enum, auto

from cluster.gateway.pieces import Content, Reasoning, Said, ToolCall
from cluster.gateway.stops import Stops, held_back

THINK, THINK_END = "<think>", "</think>"
CALL, CALL_END = "<tool_call>", "</tool_call>"


class _Mode(Enum):
    START = auto()
    THINKING = auto()
    CONTENT = auto()
    CALLING = auto()


class Parser:
    """Takes text in pieces and gives back what the client shall see.

    `call_id` makes the id of a tool call.  With `one_call` the answer ends after the first call.
    """

    def __init__(
        self,
        formats: Collection[str],
        call_id: Callable[[], str],
        stops: Collection[str] = (),
        one_call: bool = False,
    ) -> None:
        self._stops = Stops(stops)
        self._call_id, self._one_call = call_id, one_call
        self._calls_tools = "hermes" in formats
        self._mode = _Mode.START if "think" in formats else _Mode.CONTENT
        self._text = ""
        self._silent = True
        # White space after a tag is the model's layout, not content; before a tag, only if it is one.
        self._trims, self._gap = False, ""
        self._searched = 0
        self.num_calls = 0
        self.is_over = False

    def feed(self, text: str) -> list[Said]:
        """What these characters complete.  Once `is_over`, nothing more."""
        if self.is_over:
            return []
        free = self._stops.feed(text)
        said = self._parse(free)
        if self._stops.is_hit and not self.is_over:
            said += self._rest()
        return said

    def finish(self) -> list[Said]:
        """What was held back; the text is at its end."""
        return [] if self.is_over else [*self._parse(self._stops.rest()), *self._rest()]

    def _parse(self, text: str) -> list[Said]:
        self._text += text
        said: list[Said] = []
        while not self.is_over and self._step(said):
            pass
        return said

    def _step(self, said: list[Said]) -> bool:
        """Goes on by one tag; False: the rest has to wait for more text."""
        match self._mode:
            case _Mode.START:
                return self._start()
            case _Mode.THINKING:
                return self._think(said)
            case _Mode.CONTENT:
                return self._speak(said)
            case _Mode.CALLING:
                return self._call(said)

    def _start(self) -> bool:
        opening = self._text.lstrip()
        if opening.startswith(THINK):
            self._text = opening.removeprefix(THINK)
            self._mode = _Mode.THINKING
            return True
        if THINK.startswith(opening):
            return False
        self._mode = _Mode.CONTENT
        return True

    def _think(self, said: list[Said]) -> bool:
        """Reasoning, without the white space around it."""
        before, tag, after = self._text.partition(THINK_END)
        if self._silent:
            before = before.lstrip()
        if not tag:
            keep = held_back(before, (THINK_END,))
            before, after = before[: len(before) - keep], before[len(before) - keep :]
        trimmed = before.rstrip()
        if trimmed:
            said.append(Reasoning(trimmed))
            self._silent = False
        if not tag:
            self._text = before[len(trimmed) :] + after
            return False
        self._text, self._mode, self._silent = after, _Mode.CONTENT, True
        self._trims = True
        return True

    def _speak(self, said: list[Said]) -> bool:
        if self._trims:
            self._text = self._text.lstrip()
        before, tag, after = self._text.partition(CALL) if self._calls_tools else (self._text, "", "")
        if not tag and self._calls_tools:
            keep = held_back(before, (CALL,))
            before, after = before[: len(before) - keep], before[len(before) - keep :]
        spoken = before.rstrip() if self._calls_tools else before
        if spoken:
            said.append(Content(spoken))
            self._trims = False
        if tag:
            self._text, self._mode, self._searched = after, _Mode.CALLING, 0
            self._gap = before[len(spoken) :]
            return True
        self._text = before[len(spoken) :] + after
        return False

    def _call(self, said: list[Said]) -> bool:
        end = self._text.find(CALL_END, self._searched)
        if end < 0:
            self._searched = max(0, len(self._text) - len(CALL_END) + 1)
            return False
        body = self._text[:end]
        if _inside_string(body):
            self._searched = end + 1
            return True
        self._text = self._text[end + len(CALL_END) :]
        self._mode = _Mode.CONTENT
        self._close_call(body, said)
        return True

    def _close_call(self, body: str, said: list[Said]) -> None:
        call = read_call(body)
        if call is None:
            said.append(Content(f"{self._gap}{CALL}{body}{CALL_END}"))
            self._trims = False
            return
        name, arguments = call
        said.append(ToolCall(self.num_calls, arguments, self._call_id(), name))
        self.num_calls += 1
        self._trims = True
        self.is_over = self._one_call

    def _rest(self) -> list[Said]:
        """Gives back what is left at the end of the text."""
        self.is_over = True
        text, self._text = self._text, ""
        if self._mode is _Mode.CALLING:
            text = f"{self._gap}{CALL}{text}"
        if self._mode is _Mode.THINKING:
            text = text.strip() if self._silent else text.rstrip()
            return [Reasoning(text)] if text else []
        return [Content(text)] if text else []


def read_call(body: str) -> tuple[str, str] | None:
    """Name and arguments, as JSON text, of a tool call; None where it is none."""
    try:
        call = json.loads(body, strict=False)
        name, arguments = call["name"], call.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(name, str) or not name:
        return None
    if isinstance(arguments, str):
        return name, arguments
    return (name, json.dumps(arguments, ensure_ascii=False)) if isinstance(arguments, dict) else None


def _inside_string(json_text: str) -> bool:
    """Whether JSON that is cut here is cut inside a string."""
    inside = escaped = False
    for char in json_text:
        if escaped:
            escaped = False
        elif char == "\\" and inside:
            escaped = True
        elif char == '"':
            inside = not inside
    return inside
