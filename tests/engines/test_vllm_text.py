"""Text from ids, where an answer goes on in the middle of a character."""

import pytest

from cluster.deployments.vllm_text import Text
from tests.support.checkpoints import random_hf

pytestmark = pytest.mark.needs_vllm
SAID = "Grüße 🔥 an <think>世界</think>, the end"


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(random_hf())


def test_an_answer_cut_anywhere_is_whole_when_it_goes_on(text: Text) -> None:
    prompt, ids = text.encode("The prompt\n"), text.encode(SAID)
    cut = 0
    for num in range(len(ids) + 1):
        first, rest = text.answer(prompt, ()), text.answer([*prompt, *ids[:num]], ())
        before = "".join(first.add(token)[1] for token in ids[:num])
        after = "".join(rest.add(token)[1] for token in ids[num:])
        assert before + after == SAID
        cut += text.is_cut([*prompt, *ids[:num]])
    assert cut == len(SAID.encode()) - len(SAID)


def test_reasoning_that_the_template_opened_is_seen(text: Text) -> None:
    assert text.opens_thinking(text.encode("<|im_start|>assistant\n<think>\n"))
    assert not text.opens_thinking(text.encode("<|im_start|>assistant\n"))
