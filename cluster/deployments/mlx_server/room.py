"""Which turns run and which wait, by the KV memory there is, in tokens.

A batch is padded to its longest sequence, so what runs takes the number of sequences times the longest of
them.  That stays within the capacity: a turn waits while its padding does not fit, and when the batch
outgrows the capacity its newest turn is set aside until there is room again.
"""

import itertools
from collections import deque
from collections.abc import Sequence

from cluster.deployments.mlx_server.turns import Turn


class Room:
    """`kv_tokens` of memory for at most `num_slots` turns.  `running`: turns by their sequence's number."""

    def __init__(self, kv_tokens: int, num_slots: int) -> None:
        self._kv_tokens, self._num_slots = kv_tokens, num_slots
        self._numbers = itertools.count(1)
        self._waiting: deque[Turn] = deque()
        self.running: dict[int, Turn] = {}

    @property
    def has_turns(self) -> bool:
        return bool(self.running or self._waiting)

    @property
    def num_left(self) -> int:
        """What the batch leaves to KV that is not in use."""
        return self._kv_tokens - _area([*self.running.values()])

    def ask(self, turn: Turn) -> None:
        """Takes a turn in, or tells it that there is no room."""
        turns = [*self._waiting, *self.running.values()]
        if len(turns) >= self._num_slots:
            turn.tell_error(503, "no_room", "Every sequence of the engine is busy.")
        elif sum(one.num_tokens for one in turns) + turn.num_tokens >= self._kv_tokens:
            turn.tell_error(503, "no_room", f"The KV memory of {self._kv_tokens} tokens is in use.")
        else:
            self._waiting.append(turn)

    def next(self) -> Turn | None:
        """The first turn that waits runs from now on, if it fits."""
        if not self._waiting:
            return None
        turn = self._waiting[0]
        if self.running and _area([*self.running.values(), turn]) > self._kv_tokens:
            return None
        self._waiting.popleft()
        turn.number = next(self._numbers)
        self.running[turn.number] = turn
        return turn

    def outgrown(self) -> Turn | None:
        """The turn that has to be set aside."""
        turns = [*self.running.values()]
        return turns[-1] if len(turns) > 1 and _area(turns) > self._kv_tokens else None

    def put_back(self, turn: Turn) -> None:
        """Sets a running turn aside: it is the next to run."""
        self.running.pop(turn.number)
        self._waiting.appendleft(turn)

    def named(self, name: str) -> list[Turn]:
        return [turn for turn in (*self._waiting, *self.running.values()) if turn.asked.name == name]

    def remove(self, turn: Turn) -> None:
        if self.running.pop(turn.number, None) is None:
            self._waiting.remove(turn)

    def metrics(self) -> dict[str, int]:
        running = [*self.running.values()]
        return {
            "running": len(running),
            "waiting": len(self._waiting),
            "kv_tokens_running": sum(turn.num_tokens for turn in running),
            "kv_tokens_capacity": self._kv_tokens,
        }


def _area(turns: Sequence[Turn]) -> int:
    return len(turns) * max((turn.num_tokens for turn in turns), default=0)
