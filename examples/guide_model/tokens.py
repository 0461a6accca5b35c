"""The guide's own tokenizer: byte-level BPE learned from its text, and the chat form around it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from examples.guide_model.augment import Asker
from examples.guide_model.text import Text

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END, START, STOP]

# The GGUF's chat template: only the last user message counts, as `text.normalise` writes it.
TEMPLATE = (Path(__file__).parent / "template.jinja").read_text(encoding="utf-8").strip()


def learn(text: Text, vocab: int, seed: int) -> Tokenizer:
    """A tokenizer of `vocab` tokens from the answers and a sample of the questions."""
    asker = Asker(text, seed)
    sample = [" " + asker.draw()[0] for _ in range(60_000)]
    sample += [i.answer for i in text.intents.values()] * 20
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def prompt(question: str) -> str:
    """What the chat template renders for a normalised question."""
    return f"{START}user\n {question}{STOP}\n{START}assistant\n"
