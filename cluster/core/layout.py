"""How a model can be run: its variants, what a node offers, and one layout chosen from both.

    ModelWish + nodes  ──plan──>  Layout | NoRoom

A layout names nodes and bytes, so that booking it is arithmetic.  Sizes in bytes unless the name says tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cluster.core.ids import NodeId
from cluster.core.memory.shape import ModelShape
from cluster.core.memory.shares import WeightShares


class EngineKind(StrEnum):
    """What runs weights of our own."""

    LLAMACPP = "llamacpp"
    VLLM = "vllm"
    MLX = "mlx"
    FAKE = "fake"


class WeightsFormat(StrEnum):
    """GGUF runs on llama.cpp; safetensors (Hugging Face) on vLLM and MLX; those MLX has quantised on MLX
    alone."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    MLX = "mlx"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Variant:
    """One set of weights of a model.

    `source`: what an engine loads, as in `ModelConfig.source`.  `quantisation`: as its makers name it
    (`q4_k_m`, `bf16`, `4bit`).  `bits_per_weight` and `num_params` are 0 where they are unknown.
    `kv_token_bytes`: what one token takes in all layers at f16, beyond windows.  `shape`: all that the model
    keeps of tokens; None: as much of each as `kv_token_bytes` says.  `shares`: how ranks share the weights;
    None: evenly.  `buffers_bytes`: what the engine computes in, as far as the files tell; 0: unknown.
    `tensor_parallel`, `pipeline_parallel`: the numbers of ranks that the model's heads and layers allow; MLX
    can split this kind of model within layers only with `mlx_tensor`, by layers only with `mlx_pipeline`.
    `embeds`: it makes vectors and writes no text.
    """

    source: str
    format: WeightsFormat
    quantisation: str
    weights_bytes: int
    kv_token_bytes: int
    window_tokens: int
    num_params: int = 0
    bits_per_weight: float = 0.0
    tensor_parallel: tuple[int, ...] = (1,)
    pipeline_parallel: tuple[int, ...] = (1,)
    buffers_bytes: int = 0
    mlx_tensor: bool = True
    mlx_pipeline: bool = True
    embeds: bool = False
    shape: ModelShape | None = None
    shares: WeightShares | None = None


@dataclass(frozen=True, slots=True)
class ModelWish:
    """What a person wants of a model, beside what its files say.

    `variants`: all that may be run.  `engine` None: whichever fits best.  `context_tokens`: KV memory
    wanted, shared by `slots` sequences; None: chosen.  `tensor_parallel`, `pipeline_parallel` None:
    chosen.  `where`: labels that each node must have.
    """

    variants: tuple[Variant, ...]
    engine: EngineKind | None = None
    context_tokens: int | None = None
    slots: int | None = None
    kv_type: str = "f16"
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    where: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node offers to models.

    `models_bytes`: memory that engines may hold, all together.  On a node with cards (`num_gpus` > 0) it
    is the memory of all cards, each with an equal part, and llama.cpp's and vLLM's weights live there.
    `address`: where other nodes reach it.  `engines`: those installed there.  `metal`: an Apple GPU on
    unified memory.  `reserve_bytes`: left free beside `models_bytes`, for the pool and other programs.
    `chip`: of the GPU, or of all cards, as its driver names it; empty: models run on processors.
    """

    models_bytes: int
    address: str = "127.0.0.1"
    engines: frozenset[EngineKind] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    num_gpus: int = 0
    metal: bool = False
    num_cpus: int = 1
    reserve_bytes: int = 0
    chip: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of a layout that one node holds: `num_ranks` ranks in `memory_bytes`, on `num_gpus` cards."""

    node: NodeId
    memory_bytes: int
    num_ranks: int = 1
    num_gpus: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to run a deployment.  `shards[0]` holds rank 0, where the front listens.

    `context_tokens`: the KV memory that is paid for.  `window_tokens`: the longest sequence.
    `flags`: `small`, `heavily-quantised`: such a model gets no dangerous tools.  `num_slots`: sequences at
    once; `num_checkpoints`: earlier states that each may go back to; None: the engine's usual numbers.
    """

    engine: EngineKind
    source: str
    shards: tuple[Shard, ...]
    context_tokens: int
    window_tokens: int
    quantisation: str = ""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    flags: frozenset[str] = frozenset()
    num_slots: int | None = None
    num_checkpoints: int | None = None

    @property
    def memory_bytes(self) -> int:
        return sum(shard.memory_bytes for shard in self.shards)

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(shard.node for shard in self.shards)


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Why there is no layout.  `problem` has the numbers, `remedy` says what a person can do.

    `ever` False: not even with every other model unloaded.
    """

    problem: str
    remedy: str
    ever: bool = False

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"
