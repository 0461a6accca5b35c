"""What one rank of an engine takes of its node's memory.  The one place that estimates it.

weights (`memory.weights`)  +  KV memory (`memory.cache`)  +  buffers (stated per engine, measured where
it could be)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from cluster.core.layout import EngineKind, Variant
from cluster.core.memory.cache import BYTES_PER_NUMBER, Keeping, KvType, Load, rank_bytes, snapshot_bytes
from cluster.core.memory.shape import ModelShape
from cluster.core.memory.weights import largest_rank_bytes
from cluster.core.slots import LLAMACPP_CHECKPOINTS, most_slots

BATCH_TOKENS = 512
"""Prompt tokens that llama.cpp computes at once."""

MASK_BYTES = 4
"""llama.cpp's mask: so much for each token of the batch and each token of KV memory."""

LLAMACPP_BUFFERS_BYTES = 512 * 2**20
"""Where the file does not tell."""

LLAMACPP_USABLE = Fraction(9, 10)
"""Of its memory llama.cpp plans no more than this."""

VLLM_FIRST_RANK_BYTES = 2253 * 2**20
"""The process of the first CPU rank on a node, measured: 2.2 GiB with a model of next to nothing."""

VLLM_NEXT_RANK_BYTES = 820 * 2**20
"""Each further CPU rank on the same node."""

VLLM_CARD_BYTES = 1536 * 2**20
"""On a card: the CUDA context, captured graphs, and what a step computes in."""

MLX_RANK_BYTES = 256 * 2**20
"""Measured: 110 MB with a model of next to nothing; the rest is for the prompt cache's own copies."""

MLX_WEIGHTS_SHARE = Fraction(1, 20)
"""What a step of MLX computes in grows with the model."""

PROMPT_STEP_TOKENS: Mapping[EngineKind, int] = {
    EngineKind.LLAMACPP: BATCH_TOKENS,
    EngineKind.VLLM: 512,
    EngineKind.MLX: 2048,
    EngineKind.FAKE: 0,
}
"""Prompt tokens of one step, at most: they lie beside the windows until these are cut."""

VLLM_CARD_STEP_TOKENS = 8192
"""vLLM's own choice on a large card; on smaller ones it is 2,048."""

_F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Run:
    """How a variant would be run.  `ranks_on_node`: how many ranks share a node's first-rank costs.
    `on_cards`: its memory is that of cards, where the processes themselves do not count.  `num_slots`:
    sequences at once; None: the engine's usual number.  `num_checkpoints`: earlier states that each keeps
    with llama.cpp."""

    engine: EngineKind
    context_tokens: int
    kv_type: str = "f16"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    ranks_on_node: int = 1
    on_cards: bool = False
    num_slots: int | None = None
    num_checkpoints: int = LLAMACPP_CHECKPOINTS


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of one rank."""

    weights_bytes: int
    kv_bytes: int
    buffers_bytes: int

    @property
    def num_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.buffers_bytes


def rank_footprint(variant: Variant, run: Run) -> Footprint:
    """The bytes of each rank; all ranks are taken as equal."""
    weights_bytes = rank_weights_bytes(variant, run)
    kv_bytes = rank_kv_bytes(variant, run)
    return Footprint(weights_bytes, kv_bytes, _buffers_bytes(variant, run, weights_bytes, kv_bytes))


def rank_weights_bytes(variant: Variant, run: Run) -> int:
    """The weights of the rank that holds most."""
    tensor, pipeline = run.tensor_parallel, run.pipeline_parallel
    if variant.shares is None:
        return -(-variant.weights_bytes // (tensor * pipeline))
    return largest_rank_bytes(variant.shares, variant.weights_bytes, run.engine, tensor, pipeline)


def rank_kv_bytes(variant: Variant, run: Run) -> int:
    """The KV memory of each rank: tokens, windows and states of all slots."""
    kv_type = cast(KvType, run.kv_type)
    if variant.shape is None:
        token_bytes = -int(-Fraction(variant.kv_token_bytes, _F16_BYTES) * BYTES_PER_NUMBER[kv_type] // 1)
        return -(-run.context_tokens * token_bytes // (run.tensor_parallel * run.pipeline_parallel))
    keeping = Keeping(kv_type, run.engine, run.tensor_parallel, run.pipeline_parallel)
    return rank_bytes(variant.shape, keeping, _load(run))


def checkpoint_bytes(shape: ModelShape | None, kv_type: str) -> int:
    """What llama.cpp keeps of one slot for each state to go back to."""
    return snapshot_bytes(shape, Keeping(cast(KvType, kv_type), EngineKind.LLAMACPP)) if shape else 0


def _load(run: Run) -> Load:
    on_vllm_cards = run.on_cards and run.engine is EngineKind.VLLM
    step_tokens = VLLM_CARD_STEP_TOKENS if on_vllm_cards else PROMPT_STEP_TOKENS[run.engine]
    return Load(run.context_tokens, most_slots(run.engine, run.num_slots), step_tokens)


def _buffers_bytes(variant: Variant, run: Run, weights_bytes: int, kv_bytes: int) -> int:
    match run.engine:
        case EngineKind.LLAMACPP:
            fixed_bytes = variant.buffers_bytes or LLAMACPP_BUFFERS_BYTES
            fixed_bytes += run.context_tokens * BATCH_TOKENS * MASK_BYTES
            num_checkpoints = run.num_checkpoints * most_slots(run.engine, run.num_slots)
            fixed_bytes += num_checkpoints * checkpoint_bytes(variant.shape, run.kv_type)
            used_bytes = weights_bytes + kv_bytes
            return -int(-(used_bytes + fixed_bytes) / LLAMACPP_USABLE // 1) - used_bytes
        case EngineKind.VLLM if run.on_cards:
            return VLLM_CARD_BYTES
        case EngineKind.VLLM:
            all_bytes = VLLM_FIRST_RANK_BYTES + (run.ranks_on_node - 1) * VLLM_NEXT_RANK_BYTES
            return -(-all_bytes // run.ranks_on_node)
        case EngineKind.MLX:
            return MLX_RANK_BYTES + int(weights_bytes * MLX_WEIGHTS_SHARE)
        case EngineKind.FAKE:
            return 0
