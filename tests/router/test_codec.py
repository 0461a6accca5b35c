"""Every event and every command survives the way over the wire and into the journal."""

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster import codec
from cluster.core import commands
from cluster.core.errors import (
    ContextLengthExceeded,
    HearthError,
    InvalidApiKey,
    InvalidField,
    ModelNotFound,
    NeverFits,
    Overloaded,
    ReplicaLost,
    RequestTooLarge,
    ServerError,
)
from cluster.core.events import Event

EVENTS = get_args(Event)
COMMANDS = get_args(commands.Command)
NUMBERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXTS = st.text(max_size=20)
ERRORS = st.one_of(
    st.builds(InvalidField, TEXTS, TEXTS, TEXTS),
    st.builds(ContextLengthExceeded, NUMBERS, NUMBERS, NUMBERS),
    st.builds(NeverFits, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(InvalidApiKey),
    st.builds(ModelNotFound, TEXTS, st.lists(TEXTS, max_size=3)),
    st.builds(RequestTooLarge, NUMBERS, st.none() | NUMBERS),
    st.builds(Overloaded, TEXTS, st.none() | st.floats(allow_nan=False)),
    st.builds(ServerError, TEXTS),
    st.builds(ReplicaLost, TEXTS),
)
st.register_type_strategy(int, NUMBERS)
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(HearthError, ERRORS)


def told(item: Any) -> object:  # noqa: ANN401
    """Errors have no equality of their own: what they say is compared."""
    if not isinstance(item, commands.Reject):
        return item
    return item.turn, item.gateway, item.cause, type(item.error), item.error.args, str(item.error)


@pytest.mark.parametrize("kind", [*EVENTS, *COMMANDS], ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_it_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    item: Any = data.draw(st.from_type(kind))
    back = codec.decode(codec.encode(item))
    assert type(back) is kind
    assert told(back) == told(item)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03", b"\x81\xa4kind\xa4Nope", b"\x81\xa4kind\xa4Tick"]
)
def test_what_was_not_encoded_here_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever says so
        codec.decode(data)
