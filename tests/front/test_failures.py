"""Engines' own words for an overflow."""

from cluster.front.failures import in_contract_words
from cluster.wire import Failed


def test_an_engines_overflow_is_worded_as_the_contract_words_it() -> None:
    words = "the request exceeds the available context size, try increasing it"
    failed = in_contract_words(Failed(400, "exceed_context_size_error", words), 4096, 5000, 100)
    assert (failed.status, failed.code, failed.prompt_tokens) == (400, "context_length_exceeded", 5000)
    assert "maximum context length is 4096 tokens" in failed.message
    assert "you requested 5100 tokens (5000 in the messages, 100 in the completion)" in failed.message


def test_other_failures_stay_as_they_are() -> None:
    for failed in (Failed(400, "invalid_value", "no such tool"), Failed(500, "x", "context size exceeded")):
        assert in_contract_words(failed, 4096, 5000, 100) is failed
