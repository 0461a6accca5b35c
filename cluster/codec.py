"""Events and commands as bytes, for the journal and for the way to the fronts.

A frozen dataclass becomes a msgpack map `{"kind": its class name, field: value, ...}`; nested ones, enums,
sets and tuples are restored from the annotations, so a new event needs no line here.  Mappings hold plain
values by plain keys.
"""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgpack

from cluster.core import errors
from cluster.core.commands import Command
from cluster.core.events import Event

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (*get_args(Event), *get_args(Command))}


def encode(item: Event | Command) -> bytes:
    return msgpack.packb({"kind": type(item).__name__, **_plain(item)})


def decode(data: bytes) -> Event | Command:
    """Raises ValueError on what `encode` did not make."""
    try:
        body = msgpack.unpackb(data)
        return _build(_KINDS[body.pop("kind")], body)
    except (AttributeError, KeyError, TypeError, msgpack.UnpackException) as fault:
        raise ValueError(f"neither an event nor a command: {fault}") from fault


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of any event
    match value:
        case errors.HearthError():
            return [type(value).__name__, list(value.args)]
        case Enum():
            return value.value
        case frozenset():
            return sorted(_plain(item) for item in value)
        case tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
        case _:
            return value


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: type[Any], body: dict[str, Any]) -> Any:  # noqa: ANN401
    hints = _hints(kind)
    return kind(**{name: _restore(hints[name], value) for name, value in body.items()})


def _member(hint: Any, value: Any) -> Any:  # noqa: ANN401
    """The member of a union that `value` was.  Of several dataclasses the one with its fields."""
    members = [arg for arg in get_args(hint) if arg is not type(None)]
    if len(members) == 1:
        return members[0]
    return next(arg for arg in members if value.keys() == {item.name for item in fields(arg)})


def _restore(hint: Any, value: Any) -> Any:  # noqa: ANN401
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _restore(_member(hint, value), value)
    if origin is tuple:
        return tuple(_restore(get_args(hint)[0], item) for item in value)
    if origin is frozenset:
        return frozenset(_restore(get_args(hint)[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, errors.HearthError):
        name, args = value
        return getattr(errors, name)(*(tuple(arg) if isinstance(arg, list) else arg for arg in args))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    return _build(hint, value) if is_dataclass(hint) else value
