"""Conversations to text, text to ids and back, with the model's own template and tokenizer."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer


class BadConversation(Exception):
    """The template does not take these messages; the text says why."""


class Chat:
    """`tokenizer`: mlx-lm's wrapper of one of transformers'.  Its methods may be called from any thread."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401
        self._wrapper = tokenizer
        self.transformers = tokenizer._tokenizer
        self._tokens = Tokenizer.from_str(self.transformers.backend_tokenizer.to_str())
        self._tokens.no_truncation()
        self._tokens.no_padding()
        # In people's raw text a control token is text like any other.
        self._plain = Tokenizer.from_str(self._tokens.to_str())
        self._plain.encode_special_tokens = True
        self._defaults = json.loads(self._tokens.to_str())

    @property
    def ends(self) -> list[int]:
        return sorted(self._wrapper.eos_token_ids)

    @property
    def template(self) -> str:
        found = self.transformers.chat_template
        return found if isinstance(found, str) else json.dumps(found or "")

    @property
    def control_tokens(self) -> list[str]:
        return [token["content"] for token in self._defaults["added_tokens"] if token["special"]]

    @property
    def is_bytewise(self) -> bool:
        decoder = self._defaults.get("decoder") or {}
        kinds = [decoder.get("type"), *(one.get("type") for one in decoder.get("decoders", ()))]
        return "ByteLevel" in kinds

    def render(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[Any], options: dict[str, Any]
    ) -> str:
        """Raises BadConversation."""
        if not self._wrapper.has_chat_template:
            raise BadConversation("the model has no chat template")
        try:
            return self._wrapper.apply_chat_template(
                [_plain(message) for message in messages],
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=True,
                **{"enable_thinking": True, **options},
            )
        except Exception as fault:  # a template is a program: it can fail in any way
            raise BadConversation(str(fault) or type(fault).__name__) from fault

    def tokenize(self, text: str, *, parse_special: bool, is_start: bool) -> list[int]:
        tokenizer = self._tokens if parse_special else self._plain
        return tokenizer.encode(text, add_special_tokens=is_start).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Without control tokens, but with those that mark calls and reasoning."""
        return self._tokens.decode(list(ids), skip_special_tokens=True)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """As templates want it: text in one piece, arguments of calls as objects."""
    plain = dict(message)
    content = message.get("content")
    if isinstance(content, list):
        plain["content"] = "".join(part.get("text", "") for part in content)
    elif content is None:
        plain["content"] = ""
    if message.get("tool_calls"):
        plain["tool_calls"] = [_with_object(call) for call in message["tool_calls"]]
    return plain


def _with_object(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    # What is no text, or no JSON, the template shows as it is.
    with contextlib.suppress(KeyError, TypeError, ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}
