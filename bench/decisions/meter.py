"""Times each `handle` of a machine, in CPU time of this thread."""

import gc
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from cluster.core.commands import Command
from cluster.core.machine import RouterMachine

TURN_EVENTS = frozenset(
    {
        "TurnArrived",
        "TurnMeasured",
        "LeaseStarted",
        "FirstToken",
        "ExtensionAsked",
        "LeaseEnded",
        "TurnFinished",
        "GrantRefused",
        "StreamLost",
    }
)
"""What a turn brings about; the others come by the clock."""


_NOT_DATA = (type, ModuleType, FunctionType, BuiltinFunctionType)


class Meter:
    """`spent_ns`: of each event since `begin`, by kind.  `said`: a hash of all commands since the start, so
    that two machines can be compared."""

    def __init__(self, machine: RouterMachine) -> None:
        self._machine = machine
        self._said = sha256()
        self.spent_ns: dict[str, list[int]] = {}
        self.num_commands: dict[str, int] = {}

    def handle(self, event: Any, now: float) -> Sequence[Command]:  # noqa: ANN401 - any event
        began = time.thread_time_ns()
        commands = self._machine.handle(event, now)
        spent = time.thread_time_ns() - began
        self.spent_ns.setdefault(type(event).__name__, []).append(spent)
        for command in commands:
            kind = type(command).__name__
            self.num_commands[kind] = self.num_commands.get(kind, 0) + 1
            self._said.update(repr(command).encode())
        return commands

    @property
    def said(self) -> str:
        return self._said.hexdigest()

    def begin(self) -> None:
        """From here it counts.  What is there already is kept from the collector, which is not the
        machine's but the whole process's, and most of it is the home's."""
        gc.collect()
        gc.freeze()
        self.spent_ns.clear()
        self.num_commands.clear()

    def end(self) -> None:
        """The collector gets back what `begin` kept from it."""
        gc.unfreeze()


def size_of(root: object) -> int:
    """Bytes of everything that `root` holds: `sys.getsizeof` of each object once, but for types, modules
    and functions."""
    total, seen, todo = 0, set[int](), [root]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, _NOT_DATA):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        todo.extend(gc.get_referents(each))
    return total
