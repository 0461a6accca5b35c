"""The bytes of a model's weights: all of them, and what each rank of an engine holds.

Where files are there, their sizes win: this says what they will be, and how ranks share them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.core.layout import EngineKind
from cluster.core.memory.packing import Quantisation
from cluster.core.memory.tensors import Parameters, Part, Weight


@dataclass(frozen=True, slots=True)
class Sharing:
    """What an engine's ranks do with the tables at both ends of a model.

    `splits_tables`: tensor parallel shares embedding and head; else each rank has them whole.
    `ends_alone`: of a pipeline the first rank alone has the embedding, the last alone the head; else each
    has both.
    """

    splits_tables: bool
    ends_alone: bool


SHARING: Mapping[EngineKind, Sharing] = {
    EngineKind.VLLM: Sharing(splits_tables=True, ends_alone=True),
    EngineKind.LLAMACPP: Sharing(splits_tables=False, ends_alone=True),
    EngineKind.MLX: Sharing(splits_tables=False, ends_alone=False),
    EngineKind.FAKE: Sharing(splits_tables=True, ends_alone=True),
}
"""vLLM: VocabParallelEmbedding, ParallelLMHead and PPMissingLayer.  MLX: `shard` and `pipeline` of mlx-lm
touch layers alone.  llama.cpp is one rank here."""


def weights_bytes(parameters: Parameters, quantisation: Quantisation) -> int:
    """All weights, as an engine that has them alone holds them."""
    return sum(_rank(parameters, quantisation, _Place()))


def rank_weights_bytes(
    parameters: Parameters,
    quantisation: Quantisation,
    engine: EngineKind,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
) -> tuple[int, ...]:
    """What a rank of each stage of the pipeline holds; those of one stage are alike."""
    places = (
        _Place(SHARING[engine], tensor_parallel, stage, pipeline_parallel)
        for stage in range(pipeline_parallel)
    )
    return tuple(sum(_rank(parameters, quantisation, place)) for place in places)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rank stands."""

    sharing: Sharing = Sharing(splits_tables=True, ends_alone=True)
    tensor_parallel: int = 1
    stage: int = 0
    num_stages: int = 1

    def layers(self, num_layers: int) -> range:
        """As many in each stage, or one more in the first ones."""
        fewest, more = divmod(num_layers, self.num_stages)
        begin = self.stage * fewest + min(self.stage, more)
        return range(begin, begin + fewest + (self.stage < more))

    @property
    def has_first(self) -> bool:
        return self.stage == 0 or not self.sharing.ends_alone

    @property
    def has_last(self) -> bool:
        return self.stage == self.num_stages - 1 or not self.sharing.ends_alone

    def part_of(self, num_bytes: int, weight: Weight) -> int:
        is_table = weight.part in (Part.EMBEDDING, Part.HEAD)
        most = 1 if is_table and not self.sharing.splits_tables else weight.max_ranks
        return -(-num_bytes // min(self.tensor_parallel, most or self.tensor_parallel))


def _rank(parameters: Parameters, quantisation: Quantisation, place: _Place) -> Iterator[int]:
    num_layers = len(parameters.layers)
    for layer in place.layers(num_layers):
        for weight in parameters.layers[layer]:
            yield place.part_of(quantisation.num_bytes(weight, layer, num_layers), weight)
    for weight in _tables(parameters, place):
        yield place.part_of(quantisation.num_bytes(weight), weight)


def _tables(parameters: Parameters, place: _Place) -> Iterable[Weight]:
    """An embedding that is the head too is packed like a head, and stands at both ends of a pipeline."""
    tied = () if parameters.head else tuple(_as_heads(parameters.embedding))
    if place.has_first:
        yield from parameters.vision
        yield from tied or parameters.embedding
    if place.has_last:
        yield from parameters.head if tied == () else (() if place.has_first else tied)


def _as_heads(embedding: Sequence[Weight]) -> Iterator[Weight]:
    yield replace(embedding[0], part=Part.HEAD)
    yield from embedding[1:]
