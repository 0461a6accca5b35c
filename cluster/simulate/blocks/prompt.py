"""Prompts as they are replayed, and the reader of recorded ones."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cluster.core.errors import InvalidField

BLOCK_TOKENS = 512
"""Of the recorded blocks (kvcache-ai/Mooncake)."""

REMEDY = "See docs/simulate.md for the format."


@dataclass(frozen=True, slots=True)
class Prompt:
    """`at_s`: since the first one.  `blocks`: chained ids, the last one's block may not be full."""

    at_s: float
    input_tokens: int
    output_tokens: int
    blocks: Sequence[int]

    def tokens_in(self, num_blocks: int) -> int:
        """Of its first blocks."""
        return min(num_blocks * BLOCK_TOKENS, self.input_tokens)


def read_mooncake(lines: Iterable[str], where: str) -> list[Prompt]:
    """Mooncake's format, one prompt a line, in the order of their timestamps: the smallest is 0.

    Raises InvalidField naming the line.
    """
    prompts: list[Prompt] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            prompts.append(_prompt(line, f"{where}:{number}"))
    if not prompts:
        raise InvalidField(where, "holds no prompt.", "Name a file of prompts, one a line.")
    first_s = min(prompt.at_s for prompt in prompts)
    prompts = [replace(prompt, at_s=prompt.at_s - first_s) for prompt in prompts]
    return sorted(prompts, key=lambda prompt: prompt.at_s)


def _prompt(line: str, where: str) -> Prompt:
    try:
        body = json.loads(line)
        prompt = Prompt(
            at_s=int(body["timestamp"]) / 1000,
            input_tokens=int(body["input_length"]),
            output_tokens=int(body["output_length"]),
            blocks=tuple(map(int, body["hash_ids"])),
        )
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        problem = f"is no prompt: {type(fault).__name__} {fault}."
        raise InvalidField(where, problem, REMEDY) from fault
    _check(prompt, where)
    return prompt


def _check(prompt: Prompt, where: str) -> None:
    if prompt.at_s < 0 or prompt.input_tokens < 1 or prompt.output_tokens < 0:
        raise InvalidField(where, "has a time or a length below zero, or no input.", REMEDY)
    needed = -(-prompt.input_tokens // BLOCK_TOKENS)
    if len(prompt.blocks) != needed:
        problem = f"hash_ids: {len(prompt.blocks)} blocks for {prompt.input_tokens} tokens."
        raise InvalidField(where, problem, f"Give one id for each {BLOCK_TOKENS} tokens: {needed}.")
    if len(set(prompt.blocks)) != needed or not all(0 <= block < 2**64 for block in prompt.blocks):
        problem = "hash_ids: an id is used twice, or is not from 0 to 2**64 - 1."
        raise InvalidField(where, problem, REMEDY)
