"""Every engine's own way to say that a prompt is too long, read into numbers.

Agents decide from these words whether to compact, so each wording has to become the contract's.
"""

import re
from dataclasses import dataclass

_WORDINGS = [
    # OpenAI, and those who follow it
    r"maximum context length (?:is|of) (?P<window>\d+) tokens"
    r".*?requested (?:a total of )?(?P<total>\d+) tokens"
    r"(?:.*?(?P<prompt>\d+) (?:tokens )?(?:in|from) the (?:input )?messages"
    r".*?(?P<completion>\d+) (?:tokens )?(?:in|for) the completion)?",
    r"maximum context length is (?P<window>\d+) tokens.*?messages resulted in (?P<prompt>\d+) tokens",
    # vLLM
    r"passed (?P<prompt>\d+) input tokens and requested (?P<completion>\d+) output tokens"
    r".*?context length is only (?P<window>\d+)",
    r"prompt \(length (?P<prompt>\d+)\).*?longer than the maximum model length of (?P<window>\d+)",
    # llama.cpp
    r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<window>\d+) tokens\)",
    r"exceeds the available context size",
    r"input \((?P<prompt>\d+) tokens\) is too large to process",
    # SGLang
    r"input \((?P<prompt>\d+) tokens\) is longer than the model's context length \((?P<window>\d+) tokens\)",
    # LM Studio
    r"keep the first (?P<prompt>\d+) tokens.*?context length of only (?P<window>\d+) tokens",
    r"tokens to keep from the initial prompt is greater than the context length",
    # Ollama
    r"(?:input|prompt)\b.{0,40}\bexceed(?:s|ed) (?:the |max(?:imum)? )*context length",
    # Text Generation Inference
    r"must be <= (?P<window>\d+)\. Given: (?P<prompt>\d+) `inputs` tokens and (?P<completion>\d+)",
    # Anthropic and Google, and gateways before them
    r"prompt is too long: (?P<prompt>\d+) tokens > (?P<window>\d+) maximum",
    r"input token count \((?P<prompt>\d+)\) exceeds the maximum number of tokens allowed \((?P<window>\d+)\)",
    r"exceeds? the context window",
    r"maximum context length is (?P<window>\d+)",
    r"context_length_exceeded|exceed_context_size",
]
_PATTERNS = [re.compile(wording, re.IGNORECASE | re.DOTALL) for wording in _WORDINGS]


@dataclass(frozen=True, slots=True)
class Overflow:
    """In tokens; None where the engine did not say."""

    window: int | None = None
    prompt: int | None = None
    completion: int | None = None


def read_overflow(words: str) -> Overflow | None:
    """None: the words say something else."""
    found = next(filter(None, (pattern.search(words) for pattern in _PATTERNS)), None)
    if found is None:
        return None
    number = {name: int(value) for name, value in found.groupdict().items() if value is not None}
    if "total" in number and "prompt" not in number:
        number["prompt"] = number["total"]
    return Overflow(number.get("window"), number.get("prompt"), number.get("completion"))
