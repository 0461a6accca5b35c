"""The model that comes along, as it is shipped: what it answers and that it says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from examples.guide_model import evaluate, text

BARS = {"text": 0.97, "paraphrases": 0.80, "off-topic": 0.90}
SHARE_OF_TEXT = 8  # one question in eight: all of them take minutes on a busy machine


@pytest.fixture(scope="module")
def guide() -> text.Text:
    return text.load()


@pytest.fixture(scope="module")
def ask() -> evaluate.Ask:
    return evaluate.embedded(evaluate.SHIPPED)


def test_answers_reach_the_bars(guide: text.Text, ask: evaluate.Ask) -> None:
    results = evaluate.evaluate(guide, ask, evaluate.HELD_OUT, SHARE_OF_TEXT)
    missed = "\n".join(evaluate.report(results, show=True))
    assert {r.kind for r in results} == set(BARS)
    assert all(r.rate >= BARS[r.kind] for r in results), missed


def test_at_least_a_hundred_questions_off_topic() -> None:
    pairs = [p for path in evaluate.HELD_OUT for p in text.read_questions(path)]
    assert sum(name == text.OFF_TOPIC for name, _ in pairs) >= 100


def test_every_intent_is_held_out_too(guide: text.Text) -> None:
    asked = {name for path in evaluate.HELD_OUT for name, _ in text.read_questions(path)}
    assert asked == set(guide.intents)


def test_every_answer_is_right_by_its_own_keys_and_no_others(guide: text.Text) -> None:
    for intent in guide.intents.values():
        others = [i.name for i in guide.intents.values() if evaluate.is_right(intent.answer, i)]
        assert intent.keys, intent.name
        assert others == [intent.name]


def test_the_file_is_small_and_says_what_it_is() -> None:
    reader = GGUFReader(evaluate.SHIPPED)
    assert evaluate.SHIPPED.stat().st_size <= 6 << 20
    assert _field(reader, "general.name") == "Hearth guide"
    assert "look-up guide" in str(_field(reader, "general.description"))
    assert int(_field(reader, "llama.context_length")) >= 2048


def test_only_the_last_user_message_counts(guide: text.Text) -> None:
    talk = evaluate.embedded_chat(evaluate.SHIPPED)
    answer = talk(
        [
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": "What is Ollama?"},
            {"role": "assistant", "content": "Arr."},
            {"role": "user", "content": [{"type": "text", "text": "What is a lease?"}]},
        ]
    )
    assert evaluate.is_right(answer, guide.intents["lease"])


def test_an_answer_does_not_depend_on_case_marks_or_quotes(ask: evaluate.Ask) -> None:
    assert ask("HOW do I load a GGUF???") == ask('how do i load a "gguf"')


def test_a_broken_text_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("a question before any intent\n")
    with pytest.raises(ValueError, match=r"bad\.txt:1: start with an intent"):
        text.load(tmp_path)


def _field(reader: GGUFReader, name: str) -> str | int:
    field = reader.get_field(name)
    assert field is not None, name
    return field.contents()
