"""Rank 0's loop: takes turns in, says what every rank does next, and tells what came of it."""

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.deployments.mlx_server.executor import Chosen, Executor
from cluster.deployments.mlx_server.peers import Leader
from cluster.deployments.mlx_server.prefixes import Kept, Prefixes
from cluster.deployments.mlx_server.room import Room
from cluster.deployments.mlx_server.sampler import Row, Sampler
from cluster.deployments.mlx_server.turns import Asked, Turn
from cluster.deployments.text import Answer, Detokenizer

COUNTED = ("turns", "prefix_hits", "prompt_tokens", "cached_tokens", "tokens", "set_aside")
"""Since the start: turns that began to run, those that found a prefix, their tokens, and how often one had to
wait in the middle for room."""

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


class Scheduler:
    """Runs in the thread that computes; `inbox` takes messages from any other.

    `ends`: the ids that end an answer.  `detokenizer`: a new one for the ids of a prompt.
    """

    def __init__(
        self,
        executor: Executor,
        leader: Leader,
        sampler: Sampler,
        room: Room,
        ends: frozenset[int],
        detokenizer: Callable[[Sequence[int]], Detokenizer],
    ) -> None:
        self._executor, self._leader, self._sampler = executor, leader, sampler
        self._room, self._ends, self._detokenizer = room, ends, detokenizer
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._prefixes = Prefixes()
        self._operations: list[list[Any]] = []
        self._rows: dict[int, Row] = {}
        self._done: list[Done] = []
        self._token_bytes = 0.0
        self._counts = dict.fromkeys(COUNTED, 0)

    def run(self) -> None:
        """For ever; without work it waits for a message."""
        while True:
            self.turn_round()

    def turn_round(self) -> None:
        """One step of what runs, after what was asked meanwhile."""
        self._take_messages()
        self._make_room()
        self._admit()
        self._forget(self._prefixes.shrink(self._room.num_left))
        steps = bool(self._room.running)
        self._carry_out(steps=steps)
        done, self._done = self._done, []
        for one in done:
            one()
        if steps:
            self._step()

    def metrics(self) -> dict[str, Any]:
        """May be asked from another thread."""
        return {
            **self._room.metrics(),
            "kv_tokens_idle": self._prefixes.num_tokens,
            "kv_token_bytes": self._token_bytes,
            **self._counts,
        }

    def _take_messages(self) -> None:
        is_idle = not (self._room.has_turns or self._operations)
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
                self._room.ask(Turn(message, Answer(self._detokenizer(message.ids), message.stop)))
                return
            case Cancel(name, _):
                self._cancel(name)
            case Evict(tenant, session, _):
                self._forget(self._prefixes.forget(tenant, session))
            case Chunk(tokens, _):
                self._operations.append(["chunk", tokens])
        self._done.append(message.done)

    def _make_room(self) -> None:
        """What runs may have outgrown its room: the newest of it waits, with its KV kept."""
        while turn := self._room.outgrown():
            self._stop(turn)
            self._room.put_back(turn)
            self._counts["set_aside"] += 1

    def _admit(self) -> None:
        while turn := self._room.next():
            asked, ids = turn.asked, turn.ids
            found = self._prefixes.find(asked.tenant, asked.session, ids)
            entry, takes = (found.number, found.takes) if found else (None, False)
            num_kept = found.num_tokens if found else 0
            self._operations.append(
                ["admit", turn.number, ids.tolist(), num_kept, entry, takes, turn.num_left, asked.ends]
            )
            self._rows[turn.number] = Row(self._sampler, asked.sampling, turn.num_prompt, asked.grammar)
            if not turn.generated:
                turn.num_cached = num_kept
                self._count(turn)
            turn.tell_progress(0)

    def _count(self, turn: Turn) -> None:
        self._counts["turns"] += 1
        self._counts["prefix_hits"] += turn.num_cached > 0
        self._counts["prompt_tokens"] += turn.num_prompt
        self._counts["cached_tokens"] += turn.num_cached

    def _carry_out(self, *, steps: bool) -> None:
        operations, self._operations = self._operations, []
        if operations or steps:
            self._leader.send(operations, steps=steps)
            self._executor.apply(operations, self._rows)
        self._rows.clear()

    def _cancel(self, name: str) -> None:
        for turn in self._room.named(name):
            if turn.number in self._room.running:
                self._stop(turn)
            self._room.remove(turn)
            turn.asked.tell(None)

    def _stop(self, turn: Turn) -> None:
        """At once, because what it had computed is known only afterwards."""
        self._operations.append(["cancel", turn.number])
        self._carry_out(steps=False)
        self._keep(turn)

    def _keep(self, turn: Turn) -> None:
        """The KV of a sequence that computes no more stays, for the session's next turn."""
        entry, asked = self._executor.entries[turn.number], turn.asked
        if not entry.ids:
            self._forget([turn.number])
            return
        self._token_bytes = self._token_bytes or entry.num_bytes / len(entry.ids)
        ids = np.array(entry.ids, dtype=np.int32)
        kept = Kept(turn.number, asked.tenant, asked.session, ids, entry.can_be_trimmed)
        self._forget(self._prefixes.add(kept))

    def _forget(self, numbers: Sequence[int]) -> None:
        self._operations += [["drop", number] for number in numbers]

    def _step(self) -> None:
        prefilled, chosen = self._executor.step()
        for part in prefilled:
            self._room.running[part.number].tell_progress(part.processed)
        for token in chosen:
            self._take_token(self._room.running[token.number], token)

    def _take_token(self, turn: Turn, chosen: Chosen) -> None:
        is_end = turn.asked.ends and chosen.token in self._ends
        self._counts["tokens"] += 1
        reason = turn.take(chosen.token, chosen.reason, is_end=is_end)
        if reason is None:
            return
        if chosen.reason is None:
            self._stop(turn)
        else:
            self._keep(turn)
        self._room.remove(turn)
        grammar = turn.asked.grammar
        if grammar is not None and grammar.fault:
            turn.tell_error(400, "BadSchema", f"The form cannot be followed: {grammar.fault}. Simplify it.")
        else:
            turn.tell_end(reason)
