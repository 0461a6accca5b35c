"""Clients read the words: agents compact, wait or leave for a hosted model because of them."""

import pickle

import pytest

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

EXAMPLES = [
    InvalidField("messages[0].role", "is `owner`.", "Use system, user, assistant or tool."),
    ContextLengthExceeded(4096, 4000, 200),
    NeverFits(131072, 32768, 40000, 100),
    InvalidApiKey(),
    ModelNotFound("gpt-9", ("hearth-guide",)),
    RequestTooLarge(1024, 2048),
    RequestTooLarge(1024),
    Overloaded("the queue is full", 240.0),
    Overloaded("nothing is left"),
    ServerError("The engine failed."),
    ReplicaLost("its node is gone."),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_the_way_between_actors(error: HearthError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.to_wire(), again.status, again.retry_after_s) == (
        error.to_wire(),
        error.status,
        error.retry_after_s,
    )


def test_an_overflow_has_the_words_that_agents_recognise() -> None:
    assert str(ContextLengthExceeded(4096, 4000, 200)) == (
        "This model's maximum context length is 4096 tokens. However, you requested 4200 tokens "
        "(4000 in the messages, 200 in the completion). Please reduce the length of the messages or "
        "completion. (context_length_exceeded)"
    )
    assert ContextLengthExceeded(1, 1, 1).to_wire()["code"] == "context_length_exceeded"


def test_what_never_fits_has_the_same_words_and_a_remedy() -> None:
    words = str(NeverFits(131072, 32768, 40000, 100))
    assert "maximum context length is 32768 tokens. However, you requested 40100 tokens" in words
    assert "131072" in words
    assert "hearth doctor" in words


@pytest.mark.parametrize(("estimate_s", "retry_after_s"), [(240.0, 30.0), (12.0, 12.0), (None, 1.0)])
def test_nobody_is_told_to_wait_long_enough_to_leave(estimate_s: float | None, retry_after_s: float) -> None:
    error = Overloaded("the queue is full", estimate_s)
    assert error.retry_after_s == retry_after_s
    assert error.status == 503
    assert "overloaded" in str(error)
    assert estimate_s is None or f"{estimate_s:.0f} s" in str(error)


def test_a_wrong_field_is_named() -> None:
    error = EXAMPLES[0].to_wire()
    assert error["param"] == "messages[0].role"
    assert error["type"] == "invalid_request_error"
