"""The memory of keys and values.

An attention layer keeps, for each token, one key and one value per KV head.  A quantised type keeps them
in blocks of 32 numbers with a scale of their own.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

KvType = Literal["f32", "f16", "q8_0"]

BYTES_PER_NUMBER: dict[KvType, Fraction] = {
    "f32": Fraction(4),
    "f16": Fraction(2),
    "q8_0": Fraction(34, 32),
}


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What each layer keeps of a token: `kv_heads[layer]` heads with keys and values of these widths.

    A layer with 0 heads keeps nothing.
    """

    kv_heads: tuple[int, ...]
    key_width: int
    value_width: int


def kv_bytes_per_token(shape: AttentionShape, kv_type: KvType) -> int:
    """Bytes of KV memory that one token takes in all layers together."""
    numbers = sum(shape.kv_heads) * (shape.key_width + shape.value_width)
    return -int(-numbers * BYTES_PER_NUMBER[kv_type] // 1)
