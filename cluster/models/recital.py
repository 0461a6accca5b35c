"""What a tiny model knows by heart: answers with reasoning, calls and JSON, from weights alone.

A token of a line leads to the next one, whatever came before: each has a dimension of its own, so long that
no layer can turn it, and the rest of the weights neither reads nor writes there.  The template puts a line's
first token at the end of the prompt when its option `recite` names the line.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from cluster.deployments.partials import byte_letters

THOUGHT = "I need the switch."
SAID = "One moment."
CALL = '{"name": "switch", "arguments": {"on": true}}'
SECOND_CALL = '{"name": "switch", "arguments": {"on": false}}'
OBJECT = '{"on":true}'

# Marks are cut in two, which is harder to read than whole ones.
LINES = {
    "call": (
        *("<thi", "nk>I need the", " switch.</thi", "nk>\n\nOne mom", "ent.<tool_c", "all>\n"),
        *('{"name": "switch", ', '"arguments": {"on": true}}\n</to', "ol_call>"),
    ),
    "calls": (f"<tool_call>\n{CALL}\n</tool_ca", "ll>\n<tool_call>\n", SECOND_CALL, "\n</tool_call>"),
    "forced": ("<tool_cal", 'l>\n{"name": "swi', 'tch", "arguments": {"on": true', "}}\n</tool_cal", "l>"),
    "object": ('{"o', 'n":tr', "ue}"),
}
LETTERS = byte_letters()
STARTS = tuple(f"<|recite_{name}|>" for name in LINES)
PIECES = tuple("".join(LETTERS[byte] for byte in piece.encode()) for line in LINES.values() for piece in line)
"""As a byte-level vocabulary writes them."""
NUM_DIMENSIONS = len(STARTS) + len(PIECES)
LENGTH = 1000.0
CERTAINTY = 4.0

RECITE = "{%- if add_generation_prompt and recite %}<|recite_{{ recite }}|>{% endif %}"


def learned(name: str, weight: np.ndarray, tokens: list[str], end: str) -> np.ndarray:
    """`weight`, a tensor of a GGUF, with the lines in its last dimensions; `end` is said after each line."""
    if weight.ndim == 1:
        return weight
    weight = weight.copy()
    part = name.removesuffix(".weight").rpartition(".")[2]
    if part in ("attn_output", "ffn_down"):
        weight[-NUM_DIMENSIONS:] = 0
        return weight
    weight[:, -NUM_DIMENSIONS:] = 0
    for dimension, (token, following) in enumerate(_steps(end), start=weight.shape[1] - NUM_DIMENSIONS):
        if part == "token_embd":
            weight[tokens.index(token)] = 0
            weight[tokens.index(token), dimension] = LENGTH
        elif part == "output":
            weight[tokens.index(following), dimension] = CERTAINTY
    return weight


def _steps(end: str) -> Iterator[tuple[str, str]]:
    pieces = iter(PIECES)
    for start, line in zip(STARTS, LINES.values(), strict=True):
        written = tuple(islice(pieces, len(line)))
        yield from zip((start, *written), (*written, end), strict=True)
