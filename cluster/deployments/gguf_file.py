"""Reading a GGUF's header: what memory it will need, what its tokens are, whether it is whole.

Our own reader because a vocabulary of 150,000 tokens takes the library's seconds, and because a person
needs to be told what is wrong with a file before an engine dies of it.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, TokenType

from cluster.deployments.engine import EngineFault

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DOWNLOAD_AGAIN = "Download it again, or name another file in `models[].source`."


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A GGUF's metadata.  `fields` has every key as the file has it, texts decoded, token texts as bytes.
    `num_params`: the numbers in all its tensors."""

    path: Path
    num_bytes: int
    fields: dict[str, Any]
    tensor_names: frozenset[str]
    num_params: int = 0

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    def of_model(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever the file says
        """The value of `<architecture>.<key>`."""
        return self.fields.get(f"{self.architecture}.{key}", default)

    @property
    def chat_template(self) -> str | None:
        return self.fields.get("tokenizer.chat_template")

    @property
    def tokens(self) -> list[bytes]:
        return self.fields.get("tokenizer.ggml.tokens", [])

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The tokens that give a conversation its structure, such as `<|im_start|>`."""
        types = self.fields.get("tokenizer.ggml.token_type", [])
        pairs = zip(self.tokens, types, strict=False)
        return tuple(token.decode(errors="replace") for token, kind in pairs if kind == TokenType.CONTROL)


def read(path: Path) -> GgufFile:
    """Reads and checks one file.  Raises EngineFault naming the file, its problem and the remedy."""
    try:
        num_bytes = path.stat().st_size
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise EngineFault(f"{path} is not a GGUF file.", "Name a file whose name ends in .gguf.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, num_bytes, data)
    except OSError as fault:
        raise EngineFault(f"{path} cannot be read: {fault.strerror}.", "Check path and rights.") from fault
    except (struct.error, IndexError) as fault:
        raise _cut_short(path) from fault
    except (KeyError, ValueError) as fault:
        raise EngineFault(f"{path} is damaged: {fault}.", _DOWNLOAD_AGAIN) from fault


def read_head(path: Path, num_bytes: int, head: bytes) -> GgufFile | None:
    """From the first bytes of a file of `num_bytes` that is not here.  None: its header goes on.

    Raises EngineFault where it is no GGUF, or not a sound one.
    """
    if not head.startswith(MAGIC):
        raise EngineFault(f"{path} is not a GGUF file.", "Name a file whose name ends in .gguf.")
    try:
        return _parse(path, num_bytes, head)
    except (struct.error, IndexError):
        return None
    except (KeyError, ValueError) as fault:
        raise EngineFault(f"{path} is damaged: {fault}.", _DOWNLOAD_AGAIN) from fault


def _cut_short(path: Path) -> EngineFault:
    return EngineFault(f"{path} is cut short: it ends before its last tensor does.", _DOWNLOAD_AGAIN)


def _parse(path: Path, num_bytes: int, data: mmap.mmap | bytes) -> GgufFile:
    cursor = _Cursor(data, 4)
    version = cursor.scalar("I")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise EngineFault(
            f"{path} has GGUF version {version}; Hearth reads {known}.",
            "Get the file in a current version, or convert it again with llama.cpp's tools.",
        )
    num_tensors, num_fields = cursor.scalar("Q"), cursor.scalar("Q")
    fields = dict(cursor.field() for _ in range(num_fields))
    tensors = [cursor.tensor() for _ in range(num_tensors)]
    alignment = int(fields.get("general.alignment", DEFAULT_ALIGNMENT))
    start = -(-cursor.at // alignment) * alignment
    if start + max((tensor.end for tensor in tensors), default=0) > num_bytes:
        raise _cut_short(path)
    num_params = sum(tensor.num_elements for tensor in tensors)
    return GgufFile(path, num_bytes, fields, frozenset(tensor.name for tensor in tensors), num_params)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """`end`: bytes from the start of the data to the end of this tensor."""

    name: str
    end: int
    num_elements: int


class _Cursor:
    """Little-endian values, one after the other."""

    def __init__(self, data: mmap.mmap | bytes, at: int) -> None:
        self._data, self.at = data, at

    def scalar(self, form: str) -> Any:  # noqa: ANN401
        (value,) = struct.unpack_from(f"<{form}", self._data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return value

    def raw(self) -> bytes:
        length = self.scalar("Q")
        end = self.at + length
        if end > len(self._data):
            raise IndexError(end)
        value = self._data[self.at : end]
        self.at = end
        return value

    def field(self) -> tuple[str, Any]:
        return self.raw().decode(), self._value(self.scalar("I"))

    def _value(self, kind: int) -> Any:  # noqa: ANN401
        if kind == _STRING:
            return self.raw().decode(errors="replace")
        if kind == _ARRAY:
            return self._array(self.scalar("I"), self.scalar("Q"))
        return self.scalar(_SCALARS[kind])

    def _array(self, kind: int, length: int) -> list[Any]:
        if length > len(self._data):
            raise IndexError(length)
        if kind == _STRING:
            return list(self._strings(length))
        if kind == _ARRAY:
            return [self._value(_ARRAY) for _ in range(length)]
        values = list(struct.unpack_from(f"<{length}{_SCALARS[kind]}", self._data, self.at))
        self.at += length * struct.calcsize(f"<{_SCALARS[kind]}")
        return values

    def _strings(self, length: int) -> Iterator[bytes]:
        size_of, data, at = struct.Struct("<Q").unpack_from, self._data, self.at
        for _ in range(length):
            start = at + 8
            at = start + size_of(data, at)[0]
            yield data[start:at]
        self.at = at

    def tensor(self) -> _Tensor:
        name = self.raw().decode()
        elements = 1
        for _ in range(self.scalar("I")):
            elements *= self.scalar("Q")
        block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(self.scalar("I"))]
        offset = self.scalar("Q")
        return _Tensor(name, offset + elements // block * block_bytes, elements)
