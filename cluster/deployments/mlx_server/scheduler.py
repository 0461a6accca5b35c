"""Rank 0's loop: takes turns in, says what every rank does next, and tells what came of it.

KV memory is counted in tokens.  A batch is padded to its longest sequence, so what runs takes the number of
sequences times the longest of them; what ended takes its own length.  Both together stay within the
capacity: KV that is not used goes first, the longest unused before the others, and a turn waits while its
padding does not fit.
"""

import itertools
import queue
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.deployments.mlx_server.executor import Chosen, Executor
from cluster.deployments.mlx_server.peers import Leader
from cluster.deployments.mlx_server.prefixes import Kept, Prefixes
from cluster.deployments.mlx_server.sampler import Row, Sampler
from cluster.deployments.mlx_server.text import Answer, Detokenizer
from cluster.deployments.mlx_server.turns import Asked, Turn

Done = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cancel:
    """`done` is called when no sequence of the turn computes any more."""

    name: str
    done: Done


@dataclass(frozen=True, slots=True)
class Evict:
    tenant: str
    session: str
    done: Done


@dataclass(frozen=True, slots=True)
class Chunk:
    tokens: int
    done: Done


Message = Asked | Cancel | Evict | Chunk


@dataclass(frozen=True, slots=True)
class Limits:
    kv_tokens: int
    num_slots: int
    ends: frozenset[int]


class Scheduler:
    """Runs in the thread that computes; `inbox` takes messages from any other."""

    def __init__(
        self,
        executor: Executor,
        leader: Leader,
        sampler: Sampler,
        limits: Limits,
        detokenizer: Callable[[Sequence[int]], Detokenizer],
    ) -> None:
        self._executor, self._leader, self._sampler = executor, leader, sampler
        self._limits, self._detokenizer = limits, detokenizer
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._waiting: deque[Turn] = deque()
        self._running: dict[int, Turn] = {}
        self._prefixes = Prefixes()
        self._operations: list[list[Any]] = []
        self._rows: dict[int, Row] = {}
        self._done: list[Done] = []
        self._counts = {"turns": 0, "prefix_hits": 0, "prompt_tokens": 0, "cached_tokens": 0, "tokens": 0}

    def run(self) -> None:
        """For ever; without work it waits for a message."""
        while True:
            self.turn_round()

    def turn_round(self) -> None:
        """One step of what runs, after what was asked meanwhile."""
        self._take_messages()
        self._admit()
        self._forget(self._prefixes.shrink(self._limits.kv_tokens - self._area()))
        operations, self._operations = self._operations, []
        steps = bool(self._running)
        if operations or steps:
            self._leader.send(operations, steps=steps)
            self._executor.apply(operations, self._rows)
        self._rows.clear()
        self._say_done()
        if steps:
            self._step()

    def metrics(self) -> dict[str, Any]:
        """May be asked from another thread: every number is read once."""
        running = list(self._running.values())
        return {
            "running": len(running),
            "waiting": len(self._waiting),
            "kv_tokens_used": sum(turn.num_tokens for turn in running) + self._prefixes.num_tokens,
            "kv_tokens_capacity": self._limits.kv_tokens,
            "resident": len(self._prefixes),
            **self._counts,
        }

    def _take_messages(self) -> None:
        is_idle = not (self._running or self._waiting or self._operations)
        while True:
            try:
                message = self.inbox.get(block=is_idle)
            except queue.Empty:
                return
            is_idle = False
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Asked():
                self._ask(message)
            case Cancel(name, done):
                self._cancel(name)
                self._done.append(done)
            case Evict(tenant, session, done):
                self._forget(self._prefixes.forget(tenant, session))
                self._done.append(done)
            case Chunk(tokens, done):
                self._operations.append(["chunk", tokens])
                self._done.append(done)

    def _ask(self, asked: Asked) -> None:
        answer = Answer(self._detokenizer(asked.ids), asked.stop)
        turn = Turn(next(self._numbers), asked, answer)
        turns = [*self._waiting, *self._running.values()]
        if len(turns) >= self._limits.num_slots:
            turn.tell_error(503, "no_room", "Every sequence of the engine is busy.")
        elif sum(one.num_tokens for one in turns) + turn.num_tokens >= self._limits.kv_tokens:
            turn.tell_error(503, "no_room", f"The KV memory of {self._limits.kv_tokens} tokens is in use.")
        else:
            self._waiting.append(turn)

    def _area(self, more: Turn | None = None) -> int:
        """Tokens of KV memory that the batch takes, with `more` in it."""
        turns = [*self._running.values(), *([more] if more is not None else [])]
        return len(turns) * max((turn.num_tokens for turn in turns), default=0)

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            turn = self._waiting.popleft()
            asked = turn.asked
            found = self._prefixes.find(asked.tenant, asked.session, turn.ids)
            entry, takes = (found.number, found.takes) if found else (None, False)
            turn.num_cached = found.num_tokens if found else 0
            self._operations.append(
                [
                    "admit",
                    turn.number,
                    list(asked.ids),
                    turn.num_cached,
                    entry,
                    takes,
                    asked.max_tokens,
                    asked.ends,
                ]
            )
            self._rows[turn.number] = Row(self._sampler, asked.sampling, turn.ids.size, asked.grammar)
            self._running[turn.number] = turn
            self._counts["turns"] += 1
            self._counts["prefix_hits"] += found is not None
            self._counts["prompt_tokens"] += turn.ids.size
            self._counts["cached_tokens"] += turn.num_cached
            turn.tell_progress(0)

    def _fits(self, turn: Turn) -> bool:
        return not self._running or self._area(turn) <= self._limits.kv_tokens

    def _cancel(self, name: str) -> None:
        for turn in [turn for turn in self._waiting if turn.asked.name == name]:
            self._waiting.remove(turn)
            turn.asked.tell(None)
        for turn in [turn for turn in self._running.values() if turn.asked.name == name]:
            self._end(turn, by_itself=False)
            turn.asked.tell(None)

    def _end(self, turn: Turn, *, by_itself: bool) -> None:
        """Its KV stays as an entry for the session's next turn."""
        self._running.pop(turn.number)
        if not by_itself:
            self._operations.append(["cancel", turn.number])
            self._run_operations()
        kept = self._executor.entries[turn.number]
        asked = turn.asked
        ids = np.array(kept.ids, dtype=np.int32)
        if ids.size:
            entry = Kept(turn.number, asked.tenant, asked.session, ids, kept.can_be_trimmed)
            self._forget(self._prefixes.add(entry))
        else:
            self._forget([turn.number])

    def _run_operations(self) -> None:
        """At once, because what a cancelled sequence had computed is known only afterwards."""
        operations, self._operations = self._operations, []
        self._leader.send(operations, steps=False)
        self._executor.apply(operations, self._rows)
        self._rows.clear()

    def _forget(self, numbers: Sequence[int]) -> None:
        self._operations += [["drop", number] for number in numbers]

    def _say_done(self) -> None:
        done, self._done = self._done, []
        for one in done:
            one()

    def _step(self) -> None:
        prefilled, chosen = self._executor.step()
        for part in prefilled:
            self._running[part.number].tell_progress(part.processed)
        for token in chosen:
            self._take_token(self._running[token.number], token)

    def _take_token(self, turn: Turn, chosen: Chosen) -> None:
        is_end = chosen.reason == "stop" and turn.asked.ends and chosen.token in self._limits.ends
        self._counts["tokens"] += 1
        reason = turn.take(chosen.token, chosen.reason, is_end=is_end)
        if reason is None:
            return
        self._end(turn, by_itself=chosen.reason is not None)
        self._say_end(turn, reason)

    def _say_end(self, turn: Turn, reason: str) -> None:
        turn.tell_end(reason)
