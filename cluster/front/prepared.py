"""Prompts that were measured while their turns waited: rendered and tokenized once, not twice."""

from collections import OrderedDict

from cluster.deployments.engine import Prompt
from cluster.wire import TurnRequest

MOST_PROMPTS = 64
"""What lies around a short prompt, tools above all, may be long."""


class Prepared:
    """Bounded by MOST_PROMPTS and by the tokens that are kept; the oldest goes first.  A turn takes its own,
    once."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._kept: OrderedDict[str, tuple[TurnRequest, Prompt]] = OrderedDict()
        self._num_tokens = 0

    def keep(self, request: TurnRequest, prompt: Prompt) -> None:
        """Where the engine does not know the prompt's size there is nothing worth keeping."""
        if prompt.tokens is None:
            return
        self._pop(request.turn)
        self._kept[request.turn] = request, prompt
        self._num_tokens += prompt.tokens
        while self._num_tokens > self._most_tokens or len(self._kept) > MOST_PROMPTS:
            self._pop(next(iter(self._kept)))

    def take(self, request: TurnRequest) -> Prompt | None:
        """The prompt of the very same request; None: it was not measured here, or long ago."""
        kept = self._pop(request.turn)
        return kept[1] if kept is not None and kept[0] == request else None

    def _pop(self, turn: str) -> tuple[TurnRequest, Prompt] | None:
        kept = self._kept.pop(turn, None)
        if kept is not None:
            self._num_tokens -= kept[1].tokens or 0
        return kept
