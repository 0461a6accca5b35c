"""One answer as it grows, over as many streams as it takes.

Where the engine tells token ids, the answer can go on anywhere from prompt ids + ids so far: text is not
exact.  One parser reads the joined text, so the client sees one message.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cluster.gateway.parser import Parser
from cluster.gateway.pieces import Content, Finished, FinishReason, Reasoning, Said, ToolCall, Usage
from cluster.wire import Delta, Ended, Progress, Started, Tokens, TurnRequest


class Answer:
    """`call_id` makes the id of a tool call."""

    def __init__(self, request: TurnRequest, call_id: Callable[[], str]) -> None:
        self.request = request
        self._call_id = call_id
        self._parser: Parser | None = None
        self._prompt_ids: tuple[int, ...] = ()
        self._prompt_tokens: int | None = None
        self._cached_tokens: int | None = None
        self._ids: list[int] = []
        self._num_carried = 0
        self._num_whole = 0
        self._num_calls = 0
        self._continuable = False
        self.has_begun = False

    @property
    def is_over(self) -> bool:
        """A stop string, or the one tool call that was wanted, ended the answer before the engine did."""
        return self._parser is not None and self._parser.is_over

    @property
    def can_go_on(self) -> bool:
        """Whether a lost stream can be replaced without the client seeing it."""
        return self._continuable or not self.has_begun

    @property
    def is_at_limit(self) -> bool:
        return self.request.max_tokens is not None and len(self._ids) >= self.request.max_tokens

    def started(self, frame: Started) -> None:
        """A stream began.  The first one says what the prompt was and how the model writes."""
        self._continuable = frame.continuable
        if self._parser is None:
            self._prompt_ids, self._prompt_tokens = frame.prompt_ids, frame.prompt_tokens
            self._parser = self._new_parser(frame.formats)

    def _new_parser(self, formats: tuple[str, ...]) -> Parser:
        request = self.request
        calls = bool(request.tools) and request.tool_choice != "none"
        used = [name for name in formats if calls or name != "hermes"]
        return Parser(used, self._call_id, request.sampling.stop, not request.parallel_tool_calls)

    def progress(self, frame: Progress) -> None:
        """Only the first stream's prefix was in the client's sense cached."""
        if self._cached_tokens is None:
            self._cached_tokens = frame.cached

    def take(self, frame: Tokens | Delta) -> list[Said]:
        """What the frame adds to the message."""
        self.has_begun = True
        if isinstance(frame, Delta):
            return self._parsed_already(frame.delta)
        self._ids += frame.ids
        if frame.text:
            self._num_whole = len(self._ids)
        return [] if self._parser is None else self._parser.feed(frame.text)

    def _parsed_already(self, delta: dict[str, Any]) -> list[Said]:
        said: list[Said] = []
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            said.append(Reasoning(reasoning))
        if content := delta.get("content"):
            said += self._spoken(content)
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            index = call.get("index", self._num_calls)
            self._num_calls = max(self._num_calls, index + 1)
            said.append(
                ToolCall(index, function.get("arguments") or "", call.get("id"), function.get("name"))
            )
        return said

    def _spoken(self, content: str) -> list[Said]:
        """A server that does not know how its model thinks leaves the reasoning in the content."""
        if self.request.constrained or self._parser is None:
            return [Content(content)]
        return self._parser.feed(content)

    def lost(self) -> tuple[int | None, int]:
        """The stream broke.  The size of the prompt to go on with, and the generated tokens in it.

        Ids whose text had not come yet are dropped: an engine that begins inside a character cannot
        finish it.  Where none are left, the answer begins anew.
        """
        del self._ids[self._num_whole :]
        if not self._ids:
            self._parser = None
        self._num_carried = len(self._ids)
        known = self._prompt_tokens is not None
        return (self._prompt_tokens or 0) + len(self._ids) if known else None, len(self._ids)

    def next_request(self) -> TurnRequest:
        """What to send to the next place."""
        if not self._ids:
            return self.request
        left = self.request.max_tokens
        return replace(
            self.request,
            messages=None,
            prompt=None,
            ids=(*self._prompt_ids, *self._ids),
            max_tokens=None if left is None else left - len(self._ids),
        )

    def finish(self, ended: Ended | None) -> tuple[list[Said], Finished]:
        """What was held back, and the end; without the engine's word where the answer ended before."""
        was_over = self.is_over
        said = self._parser.finish() if self._parser is not None else []
        completion = len(self._ids)
        if ended is not None:
            completion = self._num_carried + ended.completion_tokens
        prompt, cached = self._prompt_tokens, self._cached_tokens
        if ended is not None and not self._num_carried:
            prompt, cached = ended.prompt_tokens, ended.cached_tokens
        reason = self._reason(was_over or (ended is not None and ended.reason != "length"))
        return said, Finished(reason, Usage(prompt or 0, cached or 0, completion))

    def _reason(self, has_stopped: bool) -> FinishReason:
        if not has_stopped:
            return "length"
        called = self._num_calls or (self._parser.num_calls if self._parser is not None else 0)
        return "tool_calls" if called else "stop"
