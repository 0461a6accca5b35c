"""Chained hashes of a prompt's blocks: each covers the whole prompt up to the end of its block.

Equal hashes mean equal prompts up to there.  Eight bytes of BLAKE2b: with four million blocks known, two that
differ meet by chance once in two million pools (birthday bound), and then an estimate is wrong, never an
answer.
"""

from array import array
from collections.abc import Sequence
from hashlib import blake2b

from cluster.core.errors import InvalidField

HASH_BYTES = 8


def token_hashes(ids: Sequence[int], block_tokens: int, salt: str = "") -> list[int]:
    """One hash a whole block of token ids: a block that is not full yet is never shared.

    `salt`: what separates those who must not share, the tenant where the engine salts its cache by tenant.
    """
    _check("block_tokens", block_tokens)
    return _chain(array("q", ids).tobytes(), block_tokens * array("q").itemsize, salt)


def text_hashes(text: str, block_bytes: int, salt: str = "") -> list[int]:
    """The same for who has no ids: blocks of `block_bytes` bytes of UTF-8, about four times the tokens."""
    _check("block_bytes", block_bytes)
    return _chain(text.encode(errors="surrogatepass"), block_bytes, salt)


def _chain(body: bytes, block_bytes: int, salt: str) -> list[int]:
    found: list[int] = []
    before = blake2b(salt.encode(errors="surrogatepass"), digest_size=HASH_BYTES).digest()
    for at in range(0, len(body) - block_bytes + 1, block_bytes):
        before = blake2b(before + body[at : at + block_bytes], digest_size=HASH_BYTES).digest()
        found.append(int.from_bytes(before, "little"))
    return found


def _check(field: str, size: int) -> None:
    if size < 1:
        raise InvalidField(field, f"{size} is no size of a block.", "Give a whole number from 1 on.")
