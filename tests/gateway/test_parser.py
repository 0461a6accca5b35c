"""Reasoning, tool calls and stop strings out of a model's text, however it is cut."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.gateway.parser import Parser
from cluster.gateway.pieces import Content, Reasoning, ToolCall

Message = tuple[str, str, list[tuple[str, str]]]

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", CALL, "<", "</", "<think", "tool_call>")
LETTERS = ('{"name": "f"}', '"', "\\", " ", "\n", "a", "世", "🔥", "STOP", "ST", "STOPPED")
TEXTS = st.lists(st.sampled_from(TAGS + LETTERS), max_size=12).map("".join)
FORMATS = st.sets(st.sampled_from(["think", "hermes"]))
STOPS = st.sets(st.sampled_from(["STOP", "STOPPED", "TO", "a\n"]), max_size=2)


def read(pieces: list[str], formats: set[str], stops: set[str], one_call: bool = False) -> Message:
    """Content, reasoning and calls of a text that comes in these pieces."""
    parser = Parser(formats, lambda: "call", sorted(stops), one_call)
    said = [piece for text in pieces for piece in parser.feed(text)] + parser.finish()
    return (
        "".join(piece.text for piece in said if isinstance(piece, Content)),
        "".join(piece.text for piece in said if isinstance(piece, Reasoning)),
        [(piece.name or "", piece.arguments) for piece in said if isinstance(piece, ToolCall)],
    )


@settings(deadline=None)
@given(TEXTS, FORMATS, STOPS, st.booleans(), st.data())
def test_the_message_does_not_depend_on_the_cuts(
    text: str, formats: set[str], stops: set[str], one_call: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = read([text], formats, stops, one_call)
    assert read(pieces, formats, stops, one_call) == whole
    assert read(list(text), formats, stops, one_call) == whole


@settings(deadline=None)
@given(TEXTS, FORMATS)
def test_no_word_is_lost(text: str, formats: set[str]) -> None:
    """What is no tag and no white space comes out, in whichever part of the message."""
    content, reasoning, calls = read([text], formats, set())
    words = [mark for mark in ("世", "🔥", "STOP") for _ in range(text.count(mark))]
    said = content + reasoning + "".join(arguments for _, arguments in calls)
    assert [mark for mark in ("世", "🔥", "STOP") for _ in range(said.count(mark))] == words


@settings(deadline=None)
@given(TEXTS)
def test_a_plain_model_says_exactly_what_it_writes(text: str) -> None:
    assert read(list(text), set(), set()) == (text, "", [])


def test_reasoning_call_and_content_are_told_apart() -> None:
    text = f"<think>\nFirst.\n</think>\n\nI add.\n{CALL}\n{CALL}\nDone."
    assert read(list(text), {"think", "hermes"}, set()) == (
        "I add.Done.",
        "First.",
        [("add", '{"a": 1}'), ("add", '{"a": 1}')],
    )


def test_a_tag_in_the_middle_of_content_is_content() -> None:
    assert read(["The tag <think> opens reasoning."], {"think"}, set())[:2] == (
        "The tag <think> opens reasoning.",
        "",
    )


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "add", "arguments": {"a": ',
        '<tool_call>{"name": "add"',
        "<tool_call>no json</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        "before\n<tool_call>[1]</tool_call>",
        "a <tool_ca",
    ],
)
def test_what_is_no_whole_call_is_given_back(text: str) -> None:
    assert read(list(text), {"hermes"}, set()) == (text, "", [])


def test_a_closing_tag_inside_an_argument_closes_nothing() -> None:
    code = {"code": 'print("</tool_call>")\n# "quoted" \\ end'}
    text = f"<tool_call>{json.dumps({'name': 'run', 'arguments': code})}</tool_call>ok"
    content, _, calls = read(list(text), {"hermes"}, set())
    assert content == "ok"
    assert [(name, json.loads(arguments)) for name, arguments in calls] == [("run", code)]


def test_one_call_ends_the_answer_where_only_one_is_wanted() -> None:
    assert read([f"{CALL}{CALL} more"], {"hermes"}, set(), one_call=True) == ("", "", [("add", '{"a": 1}')])


def test_a_stop_string_ends_the_answer_and_is_not_said() -> None:
    parser = Parser((), lambda: "call", ["END", "\n\n"])
    said = [*parser.feed("one EN"), *parser.feed("D two")]
    assert "".join(piece.text for piece in said if isinstance(piece, Content)) == "one "
    assert parser.is_over
    assert parser.feed("more") == []
    assert parser.finish() == []
