"""Reading a model's own description: the fields of a config.json or of a GGUF's header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from cluster.core.errors import InvalidField


@dataclass(frozen=True, slots=True)
class Fields:
    """`where`: what the fields belong to, such as `config.json`.

    A field that is missing or null is None, and a number may be written as 15.0.  Each method takes a field's
    names, the usual one first, and raises InvalidField naming the one that is there and wrong.
    """

    body: Mapping[str, object]
    where: str

    def has(self, *names: str) -> bool:
        return self._found(names) is not None

    def number(self, *names: str) -> int | None:
        name = self._found(names)
        if name is None:
            return None
        value = self.body[name]
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, bool) or not isinstance(whole, int) or whole < 0:
            raise self.wrong(name, f"is {value!r} and should be a whole number.")
        return whole

    def positive(self, *names: str) -> int | None:
        """Like `number`; 0 and -1 stand for none."""
        name = self._found(names)
        return None if name is None or self.body[name] == -1 else self.number(name) or None

    def needed(self, *names: str) -> int:
        value = self.number(*names)
        if not value:
            raise self.wrong(names[0], "is missing or 0: this does not describe a language model.")
        return value

    def flag(self, name: str) -> bool:
        return bool(self.body.get(name))

    def entries(self, name: str) -> tuple[object, ...] | None:
        """A list.  An empty one is None."""
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(name, f"is {value!r} and should be a list.")
        return tuple(cast(Sequence[object], value)) or None

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers, or of true and false."""
        found = self.entries(name)
        if found is None:
            return None
        if not all(isinstance(entry, int) and entry >= 0 for entry in found):
            raise self.wrong(name, "should list whole numbers alone.")
        return tuple(int(cast(int, entry)) for entry in found)

    def part(self, name: str) -> "Fields | None":
        value = self.body.get(name)
        if not isinstance(value, Mapping):
            return None
        return Fields(cast(Mapping[str, object], value), f"{self.where}: {name}")

    def wrong(self, name: str, problem: str) -> InvalidField:
        remedy = "Download the file again, or name a model that writes text."
        return InvalidField(name, f"{problem} ({self.where})", remedy)

    def _found(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if self.body.get(name) is not None), None)
