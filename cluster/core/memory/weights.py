"""What each rank of an engine holds of a model's weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from cluster.core.layout import EngineKind
from cluster.core.memory.shares import Share, WeightShares


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
"""vLLM: its parallel embedding and head, and nothing in place of what another stage has.  MLX: `shard` and
`pipeline` of mlx-lm touch layers alone.  llama.cpp is one rank here."""


def rank_weights_bytes(
    shares: WeightShares, engine: EngineKind, tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> tuple[int, ...]:
    """What a rank of each stage of the pipeline holds; those of one stage are alike."""
    return tuple(
        _layers_bytes(shares, tensor_parallel, _layers(len(shares.order), stage, pipeline_parallel))
        + _ends_bytes(shares, SHARING[engine], tensor_parallel, stage == 0, stage == pipeline_parallel - 1)
        for stage in range(pipeline_parallel)
    )


def largest_rank_bytes(
    shares: WeightShares,
    weights_bytes: int,
    engine: EngineKind,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
) -> int:
    """Of the rank that holds most, where the files have `weights_bytes` in all: they win."""
    ranks = rank_weights_bytes(shares, engine, tensor_parallel, pipeline_parallel)
    return -int(-max(ranks) * Fraction(weights_bytes, shares.num_bytes) // 1)


def _layers(num_layers: int, stage: int, num_stages: int) -> range:
    """As many in each stage, or one more in the first ones."""
    fewest, more = divmod(num_layers, num_stages)
    begin = stage * fewest + min(stage, more)
    return range(begin, begin + fewest + (stage < more))


def _layers_bytes(shares: WeightShares, tensor_parallel: int, layers: range) -> int:
    kinds = [sum(_part_of(share, tensor_parallel) for share in kind) for kind in shares.kinds]
    return sum(kinds[shares.order[layer]] for layer in layers)


def _part_of(share: Share, num_ranks: int) -> int:
    return -(-share.num_bytes // min(num_ranks, share.max_ranks or num_ranks))


def _ends_bytes(
    shares: WeightShares, sharing: Sharing, tensor_parallel: int, is_first: bool, is_last: bool
) -> int:
    """An embedding that serves as head, too, stands at both ends."""
    has_first, has_last = (is_end or not sharing.ends_alone for is_end in (is_first, is_last))
    has_embedding = has_first or (has_last and not shares.head_bytes)
    tables = has_embedding * shares.embedding_bytes + has_last * shares.head_bytes
    own = -(-tables // tensor_parallel) if sharing.splits_tables else tables
    return own + has_first * shares.first_bytes
