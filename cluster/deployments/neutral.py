"""Makes a model's control tokens harmless in what people wrote.

A template is tokenized with its control tokens; were `<|im_start|>` taken from a message as well, anybody
could write as the system.  An invisible character inside it leaves it readable and powerless.
"""

import re
from collections.abc import Iterable
from typing import Any

from cluster.wire import JsonObject

_BREAK = "\u2060"  # word joiner: no width, and no control token contains it


class Neutralizer:
    def __init__(self, control_tokens: Iterable[str]) -> None:
        found = sorted(filter(None, control_tokens), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda hit: f"{hit[0][:1]}{_BREAK}{hit[0][1:]}", text)

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Every text in a JSON value, keys included: tool schemas are people's text as well."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def objects(self, objects: Iterable[JsonObject]) -> list[JsonObject]:
        return [self.value(item) for item in objects]
