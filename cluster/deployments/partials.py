"""Tokens that hold a piece of a character.

llama.cpp streams a token's id only with text that is whole: where a character spans several tokens it
tells the last one's id and how many there were.  Here the others are found again, where the bytes leave
no choice, and the text of an answer that goes on in the middle of a character is put together.
"""

from collections.abc import Iterable, Mapping, Sequence

from gguf.constants import TokenType

from cluster.deployments.gguf_file import GgufFile

MAX_CHARACTER_BYTES = 4


class Partials:
    """`pieces`: the bytes of each token that is not whole UTF-8 by itself, by id."""

    def __init__(self, pieces: Mapping[int, bytes]) -> None:
        self._pieces = dict(pieces)
        self._ids: dict[bytes, list[int]] = {}
        for token, piece in pieces.items():
            self._ids.setdefault(piece, []).append(token)

    def piece(self, token: int) -> bytes | None:
        """None: the token is whole characters."""
        return self._pieces.get(token)

    def unfinished(self, ids: Sequence[int]) -> bytes:
        """The bytes of the character that `ids` have begun and not finished."""
        tail = b""
        for token in reversed(ids):
            piece = self._pieces.get(token)
            if piece is None or len(tail) >= MAX_CHARACTER_BYTES:
                break
            tail = piece + tail
        return begun(tail)

    def find(self, text: str, last: int, missing: int) -> tuple[int, ...] | None:
        """The ids before `last` that make up `text` with it; None where there is not exactly one way."""
        end = self._pieces.get(last)
        whole = text.encode()
        if end is None or "\ufffd" in text or not whole.endswith(end):
            return None
        ways = list(self._ways(whole[: len(whole) - len(end)], missing))
        return ways[0] if len(ways) == 1 else None

    def _ways(self, rest: bytes, missing: int) -> Iterable[tuple[int, ...]]:
        if missing == 0:
            if not rest:
                yield ()
            return
        for length in range(1, len(rest) - missing + 2):
            for token in self._ids.get(rest[:length], ()):
                yield from ((token, *others) for others in self._ways(rest[length:], missing - 1))


def begun(tail: bytes) -> bytes:
    """The bytes at the end of `tail` that begin a character and do not finish it."""
    for length in range(1, min(len(tail), MAX_CHARACTER_BYTES - 1) + 1):
        lead = tail[-length]
        if lead >= 0xC0:
            size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return tail[-length:] if length < size else b""
        if lead < 0x80:
            break
    return b""


def of_gguf(file: GgufFile) -> Partials:
    if file.fields.get("tokenizer.ggml.model") == "gpt2":
        return Partials(dict(_byte_level(file.tokens)))
    types = file.fields.get("tokenizer.ggml.token_type", [])
    pairs = enumerate(zip(file.tokens, types, strict=False))
    return Partials(
        {i: bytes([int(text[1:-1], 16)]) for i, (text, kind) in pairs if _is_partial_byte(text, kind)}
    )


def _is_partial_byte(text: bytes, kind: int) -> bool:
    return kind == TokenType.BYTE and int(text[1:-1], 16) >= 0x80


def _byte_level(tokens: Sequence[bytes]) -> Iterable[tuple[int, bytes]]:
    """Byte-level BPE writes each byte as a printable letter of its own."""
    letters = byte_letters()
    bytes_of = {letter: value for value, letter in enumerate(letters)}
    for token, raw in enumerate(tokens):
        if raw.isascii():
            continue
        try:
            piece = bytes(bytes_of[letter] for letter in raw.decode())
        except (KeyError, UnicodeDecodeError):
            continue  # an added token, written as it is
        if not _is_whole(piece):
            yield token, piece


def _is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def byte_letters() -> list[str]:
    """The printable letter by which byte-level BPE writes each of the 256 bytes, in their order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    letters = {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [letters.get(byte, chr(byte)) for byte in range(256)]
