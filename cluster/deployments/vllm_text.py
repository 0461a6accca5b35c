"""A model's own tokenizer, for text from ids."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.deployments import formats
from cluster.deployments.text import CONTEXT_TOKENS, UNKNOWN, Answer, Detokenizer


class Text:
    """`folder`: the model's."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        self._tokenizer: Any = importlib.import_module("tokenizers").Tokenizer.from_file(str(path))
        self._is_bytewise = "ByteLevel" in json.dumps(json.loads(path.read_bytes()).get("decoder"))

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def encode(self, text: str) -> list[int]:
        """As it stands: no start token is added."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def answer(self, prompt: Sequence[int], stop: Sequence[str]) -> Answer:
        return Answer(Detokenizer(self.decode, prompt, bytewise=self._is_bytewise), stop)

    def is_cut(self, ids: Sequence[int]) -> bool:
        """They end in the middle of a character."""
        return self.decode(ids[-CONTEXT_TOKENS:]).endswith(UNKNOWN)

    def opens_thinking(self, ids: Sequence[int]) -> bool:
        """They end in the middle of the reasoning."""
        return formats.opens_thinking(self.end_of(ids))

    def end_of(self, ids: Sequence[int]) -> str:
        """The last words, with whatever is special."""
        return self._tokenizer.decode(list(ids[-2 * CONTEXT_TOKENS :]), skip_special_tokens=False)
