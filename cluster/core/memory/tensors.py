"""What a model's weights are, matrix by matrix: enough to count them, to pack them and to share them out."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

HIDDEN = ("hidden_size", "n_embd", "d_model")
"""The names of the width that all parts read and write."""


class Part(StrEnum):
    """What a weight does, as far as quantisers and engines treat it differently."""

    EMBEDDING = "embedding"
    HEAD = "head"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"
    OUTPUT = "output"
    LATENT = "latent"
    """Down-projections of MLA and its indexer."""
    MIXER = "mixer"
    """Projections of linear attention and Mamba."""
    UP = "up"
    DOWN = "down"
    SHARED_UP = "shared_up"
    SHARED_DOWN = "shared_down"
    """Experts that every token uses."""
    EXPERT_UP = "expert_up"
    EXPERT_DOWN = "expert_down"
    ROUTER = "router"
    VECTOR = "vector"
    """Norms and convolutions: nobody quantises them.  Biases are not counted (below a thousandth)."""
    VISION = "vision"


@dataclass(frozen=True, slots=True)
class Weight:
    """`copies` matrices of `outputs` rows of `inputs` numbers, `used` of them by each token.

    `max_ranks`: tensor parallel shares it among no more ranks than this, further ones hold a copy; 1: every
    rank holds the whole; None: any number.
    """

    part: Part
    outputs: int
    inputs: int = 1
    copies: int = 1
    used: int = 1
    max_ranks: int | None = None

    @property
    def num_params(self) -> int:
        return self.outputs * self.inputs * self.copies

    @property
    def num_active(self) -> int:
        return self.outputs * self.inputs * min(self.used, self.copies)


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's weights.  `layers`: each layer's, in order.  `head` is empty where the embedding serves.

    `doubts`: fields that were missing or that this reader does not know, with what was assumed.
    """

    embedding: tuple[Weight, ...]
    layers: tuple[tuple[Weight, ...], ...]
    head: tuple[Weight, ...]
    vision: tuple[Weight, ...] = ()
    doubts: tuple[str, ...] = ()

    def all(self) -> Iterator[Weight]:
        yield from self.embedding
        for layer in self.layers:
            yield from layer
        yield from self.head
        yield from self.vision

    @property
    def num_params(self) -> int:
        return sum(weight.num_params for weight in self.all())

    @property
    def num_active(self) -> int:
        """What is read for a token of text: of the embedding a row, unless it is the head too."""
        read = [*(weight for layer in self.layers for weight in layer), *(self.head or self.embedding)]
        return sum(weight.num_active for weight in read)


def matrix(part: Part, inputs: int, outputs: int, max_ranks: int | None = None) -> Weight:
    """One matrix that every token uses."""
    return Weight(part, outputs, inputs, max_ranks=max_ranks)


def vector(width: int) -> Weight:
    """Numbers that every rank holds."""
    return Weight(Part.VECTOR, width, max_ranks=1)
