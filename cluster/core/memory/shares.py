"""A model's weights in bytes, as far as ranks can share them: small enough to be sent with a variant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cluster.core.memory.packing import Quantisation
from cluster.core.memory.tensors import Parameters, Part, Weight


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes that tensor parallel shares among no more than `max_ranks`; None: any number."""

    num_bytes: int
    max_ranks: int | None = None


@dataclass(frozen=True, slots=True)
class WeightShares:
    """`kinds[order[i]]` is what layer i has.  `head_bytes` 0: the embedding serves as head.

    `first_bytes`: what stands before the layers beside the embedding, and whole (vision).
    """

    kinds: tuple[tuple[Share, ...], ...]
    order: tuple[int, ...]
    embedding_bytes: int
    head_bytes: int = 0
    first_bytes: int = 0

    @property
    def num_bytes(self) -> int:
        """All weights, once."""
        layers = sum(share.num_bytes for number in self.order for share in self.kinds[number])
        return layers + self.embedding_bytes + self.head_bytes + self.first_bytes


def shares_of(parameters: Parameters, quantisation: Quantisation) -> WeightShares:
    num_layers = len(parameters.layers)
    layers = [
        _layer((quantisation.num_bytes(weight, layer, num_layers), weight) for weight in weights)
        for layer, weights in enumerate(parameters.layers)
    ]
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(layers))}
    return WeightShares(
        tuple(kinds),
        tuple(kinds[layer] for layer in layers),
        sum(map(quantisation.num_bytes, _embedding(parameters))),
        sum(map(quantisation.num_bytes, parameters.head)),
        sum(map(quantisation.num_bytes, parameters.vision)),
    )


def _layer(weights: Iterable[tuple[int, Weight]]) -> tuple[Share, ...]:
    sums: dict[int | None, int] = {}
    for num_bytes, weight in weights:
        sums[weight.max_ranks] = sums.get(weight.max_ranks, 0) + num_bytes
    return tuple(Share(num_bytes, most) for most, num_bytes in sums.items())


def _embedding(parameters: Parameters) -> Iterator[Weight]:
    """One that serves as head, too, is packed like a head."""
    first, *others = parameters.embedding
    yield first if parameters.head else replace(first, part=Part.HEAD)
    yield from others
