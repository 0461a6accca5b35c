"""Reads what a client sent, field by field; each fault names the field and the remedy."""

import json
import math
from collections.abc import Collection
from typing import Any, NoReturn

from cluster.core.errors import InvalidField
from cluster.wire import JsonObject

MAX_DEPTH = 100
MAX_DIGITS = 40


def parse_object(data: bytes) -> JsonObject:
    """A JSON object.  Raises InvalidField for everything else, and for what no engine could be sent."""
    try:
        body = json.loads(data, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant)
    except RecursionError:
        body = _refuse("is nested too deeply.", f"Nest at most {MAX_DEPTH} levels.")
    except ValueError as fault:
        _refuse(f"is not JSON: {fault}.", "Send one JSON object, UTF-8, as application/json.")
    if not isinstance(body, dict):
        _refuse(f"is {_kind(body)}, not a JSON object.", 'Send an object such as {"model": ...}.')
    _check(body, 1)
    return body


def _refuse(problem: str, remedy: str) -> NoReturn:
    raise InvalidField("body", problem, remedy)


def _integer(digits: str) -> int | float:
    """Integers over 64 bits cannot travel on: as a float they keep their meaning where a schema has one."""
    if len(digits) > MAX_DIGITS:
        return _finite(digits)
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(value)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:20]} is out of range")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check(value: Any, depth: int) -> None:  # noqa: ANN401 - any JSON value
    if depth > MAX_DEPTH:
        _refuse("is nested too deeply.", f"Nest at most {MAX_DEPTH} levels.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        problem = f"holds half a surrogate pair (\\u{ord(text[fault.start]):04x})."
        raise InvalidField("body", problem, "Send whole characters.") from fault


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


class Fields:
    """One JSON object at `path`.  A missing field and null are the same: None."""

    def __init__(self, body: JsonObject, path: str = "") -> None:
        self.body, self._path = body, path

    @classmethod
    def of(cls, value: object, path: str) -> "Fields":
        if not isinstance(value, dict):
            raise InvalidField(path, f"is {_kind(value)}, not an object.", "Send a JSON object.")
        return cls(value, path)

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def fault(self, name: str, problem: str, remedy: str) -> InvalidField:
        return InvalidField(self.path(name), problem, remedy)

    def text(self, name: str) -> str | None:
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise self.fault(name, f"is {_kind(value)}, not a string.", "Send a string.")
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self.fault(name, "is missing or empty.", "Send a string.")
        return value

    def word(self, name: str, words: Collection[str]) -> str:
        value = self.required_text(name)
        if value not in words:
            raise self.fault(name, f"is {value[:40]!r}.", f"Use one of {', '.join(words)}.")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.body.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.fault(name, f"is {_kind(value)}, not a boolean.", "Send true or false.")
        return value

    def integer(self, name: str, low: int | None = None, high: int | None = None) -> int | None:
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault(name, f"is {_shown(value)}, not an integer.", _range(low, high))
        self._bounds(name, value, low, high)
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(name, f"is {_shown(value)}, not a number.", _range(low, high))
        self._bounds(name, value, low, high)
        return float(value)

    def _bounds(self, name: str, value: float, low: float | None, high: float | None) -> None:
        if (low is not None and value < low) or (high is not None and value > high):
            raise self.fault(name, f"is {value}, out of range.", _range(low, high))

    def items(self, name: str) -> list[Any] | None:
        value = self.body.get(name)
        if value is not None and not isinstance(value, list):
            raise self.fault(name, f"is {_kind(value)}, not a list.", "Send a list.")
        return value

    def inner(self, name: str) -> "Fields | None":
        value = self.body.get(name)
        return None if value is None else Fields.of(value, self.path(name))

    def objects(self, name: str) -> "list[Fields]":
        items = self.items(name) or []
        return [Fields.of(item, f"{self.path(name)}[{at}]") for at, item in enumerate(items)]


def _shown(value: object) -> str:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _kind(value)


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return "Send a number." if low is None else f"Send {low} or more, or leave it out."
    return f"Send a value from {low} to {high}, or leave it out."
