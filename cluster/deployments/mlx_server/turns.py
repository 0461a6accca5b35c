"""One turn as rank 0 follows it, and what it tells the adapter.

A turn's events are JSON objects, in this order:

    {"progress": [processed, total, cached]}     prompt tokens; several times
    {"ids": [...], "text": "..."}                several times
    {"end": "stop" | "length", "cached": n, "tokens": n}    or    {"error": {"code", "type", "message"}}
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.deployments.mlx_server.prefixes import Ids
from cluster.deployments.mlx_server.sampler import Grammar, Sampling
from cluster.deployments.text import Answer

Event = dict[str, Any]
Tell = Callable[[Event | None], None]
"""Takes a turn's events; None: there are no more, and its sequence is free."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn that wants to run.  `ends`: the model's own end tokens end it."""

    name: str
    tenant: str
    session: str
    ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    ends: bool
    grammar: Grammar | None
    tell: Tell


@dataclass(eq=False)
class Turn:
    """A turn that waits or runs.  `number`: its sequence, a new one each time it begins to run."""

    asked: Asked
    answer: Answer
    number: int = 0
    generated: list[int] = field(default_factory=list[int])
    num_cached: int = 0

    @property
    def num_prompt(self) -> int:
        return len(self.asked.ids)

    @property
    def num_tokens(self) -> int:
        """What it holds in KV memory, once its prompt is computed."""
        return self.num_prompt + len(self.generated)

    @property
    def ids(self) -> Ids:
        """Of prompt and answer so far."""
        return np.array((*self.asked.ids, *self.generated), dtype=np.int32)

    @property
    def num_left(self) -> int:
        """How many tokens the answer may still have."""
        return self.asked.max_tokens - len(self.generated)

    def tell_progress(self, processed: int) -> None:
        """Of the prompt; a turn that goes on has told it already."""
        if not self.generated:
            done = min(self.num_cached + processed, self.num_prompt)
            self.asked.tell({"progress": [done, self.num_prompt, self.num_cached]})

    def take(self, token: int, reason: str | None, *, is_end: bool) -> str | None:
        """One more token; the reason why the answer ends with it, else None."""
        self.generated.append(token)
        ids, text = ([], "") if is_end else self.answer.add(token)
        if self.answer.is_stopped:
            reason = "stop"
        elif reason is not None:
            more, rest = self.answer.end()
            ids, text = ids + more, text + rest
            reason = "stop" if self.answer.is_stopped else reason
        if ids or text:
            self.asked.tell({"ids": ids, "text": text})
        return reason

    def tell_end(self, reason: str) -> None:
        num_tokens = len(self.generated)
        self.asked.tell({"end": reason, "cached": self.num_cached, "tokens": num_tokens})
        self.asked.tell(None)

    def tell_error(self, code: int, kind: str, message: str) -> None:
        self.asked.tell({"error": {"code": code, "type": kind, "message": message}})
        self.asked.tell(None)
