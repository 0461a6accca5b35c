"""Answers of a form: which tokens a JSON schema allows next, by llguidance."""

import json
import threading
from typing import Any

import llguidance
import llguidance.hf
import llguidance.numpy
import mlx.core as mx
import numpy as np


class BadSchema(Exception):
    """The schema cannot be followed; the text says why."""


class Grammars:
    """Makes matchers for one tokenizer, which is read when the first one is wanted."""

    def __init__(self, tokenizer: Any, ends: list[int]) -> None:  # noqa: ANN401 - a tokenizer of transformers
        self._tokenizer, self._ends = tokenizer, ends
        self._lock = threading.Lock()
        self._known: llguidance.LLTokenizer | None = None

    def compile(self, schema: dict[str, Any]) -> "Matcher":
        """Raises BadSchema.  Takes long for the first one, and for large ones."""
        with self._lock:
            if self._known is None:
                self._known = llguidance.hf.from_tokenizer(self._tokenizer, eos_token=self._ends)
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        except ValueError as fault:
            raise BadSchema(str(fault)) from fault
        matcher = llguidance.LLMatcher(self._known, grammar, log_level=0)
        if matcher.is_error():
            raise BadSchema(matcher.get_error())
        return Matcher(matcher, self._known.vocab_size, self._ends)


class Matcher:
    """One answer's way through its grammar.  `fault`: why there is none any more; empty while there is."""

    def __init__(self, matcher: llguidance.LLMatcher, vocab_size: int, ends: list[int]) -> None:
        self.fault = ""
        self._matcher, self._ends = matcher, ends
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocab_size)
        self._num_read = 0

    def mask(self, answer: mx.array, num_logits: int) -> mx.array:
        fresh = answer[self._num_read :].tolist()
        self._num_read += len(fresh)
        for token in fresh:
            if not self._matcher.is_stopped():
                self._matcher.consume_token(token)
        allowed = np.zeros(num_logits, dtype=bool)
        if not self._matcher.is_stopped():
            llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits)
            bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[:num_logits]
            allowed[: bits.size] = bits
        if self._matcher.is_error():
            # A schema may turn out too large while it is followed: that ends its own answer alone.
            self.fault = self._matcher.get_error().partition("\n")[0]
            allowed[:] = False
        if not allowed.any():
            allowed[self._ends] = True
        return mx.array(allowed)
