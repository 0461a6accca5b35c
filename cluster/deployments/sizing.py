"""How many tokens and sequences a llama.cpp engine gets from the memory that is free.

weights + compute buffers + KV memory  <=  LLAMACPP_USABLE of what is free
"""

from bisect import bisect_right
from dataclasses import dataclass

from cluster.config import ModelConfig
from cluster.core.errors import InvalidField
from cluster.core.footprint import LLAMACPP_USABLE, MASK_BYTES, checkpoint_bytes
from cluster.core.layout import EngineKind
from cluster.core.memory.cache import Keeping, Load, rank_bytes
from cluster.core.memory.gguf import shape_of_gguf, window_of_gguf
from cluster.core.memory.shape import ModelShape
from cluster.core.slots import LLAMACPP_CHECKPOINTS, most_slots
from cluster.deployments.engine import EngineFault
from cluster.deployments.gguf_file import GgufFile

MAX_EMBEDDED_TOKENS = 2048
MIN_TOKENS = 256
"""llama.cpp rounds its context to this."""

_BASE_COMPUTE_BYTES = 96 * 2**20
_BUFFERS_PER_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """`kv_tokens` are shared by `num_slots` sequences, none of which may be longer than `window_tokens`; each
    may go back to `num_checkpoints` earlier states."""

    kv_tokens: int
    num_slots: int
    window_tokens: int
    weights_bytes: int
    kv_bytes: int
    num_checkpoints: int


def shape(file: GgufFile) -> ModelShape:
    """Raises EngineFault where the file does not tell."""
    try:
        return shape_of_gguf(file.fields)
    except InvalidField as fault:
        raise EngineFault(
            f"{file.path} does not describe a language model: {fault.field} {fault.problem}",
            "Name the model's own GGUF, not a projector's or an adapter's.",
        ) from fault


def model_window(file: GgufFile) -> int:
    """The longest sequence the model was made for, in tokens."""
    return window_of_gguf(file.fields)


def embedded_window(file: GgufFile) -> int:
    """The longest text that is embedded: llama.cpp computes it in one batch, which takes memory."""
    return min(model_window(file), MAX_EMBEDDED_TOKENS)


def plan(
    file: GgufFile,
    weights_bytes: int,
    free_bytes: int,
    config: ModelConfig,
    batch_tokens: int,
    num_checkpoints: int = LLAMACPP_CHECKPOINTS,
) -> Plan:
    """Chooses; what `config` says wins and is checked.  Raises EngineFault with the numbers."""
    num_slots = most_slots(EngineKind.LLAMACPP, config.slots)
    window = embedded_window(file) if file.of_model("pooling_type") else model_window(file)
    keeping, kept = Keeping(config.kv_type, EngineKind.LLAMACPP), shape(file)

    def kv_bytes(tokens: int) -> int:
        return rank_bytes(kept, keeping, Load(tokens, num_slots, batch_tokens))

    def with_mask_bytes(tokens: int) -> int:
        return kv_bytes(tokens) + tokens * batch_tokens * MASK_BYTES

    fixed_bytes = weights_bytes + fixed_compute_bytes(file, batch_tokens)
    fixed_bytes += num_slots * num_checkpoints * checkpoint_bytes(kept, config.kv_type)
    for_tokens = int(free_bytes * LLAMACPP_USABLE) - fixed_bytes
    wanted = min(config.context_tokens or num_slots * window, num_slots * window)
    steps = range(0, _rounded_up(wanted) + 1, MIN_TOKENS)
    affordable = steps[max(bisect_right(steps, for_tokens, key=with_mask_bytes) - 1, 0)]
    kv_tokens = _rounded_up(wanted) if config.context_tokens else min(wanted, affordable)
    if kv_tokens > affordable or kv_tokens < min(MIN_TOKENS, wanted):
        missing_for = max(_rounded_up(wanted) if config.context_tokens else MIN_TOKENS, MIN_TOKENS)
        raise _too_little(file, fixed_bytes, kv_bytes(missing_for), missing_for, free_bytes)
    kv_tokens = max(kv_tokens // MIN_TOKENS, 1) * MIN_TOKENS
    window = min(window, kv_tokens)
    return Plan(kv_tokens, num_slots, window, weights_bytes, kv_bytes(kv_tokens), num_checkpoints)


def _rounded_up(tokens: int) -> int:
    return -(-tokens // MIN_TOKENS) * MIN_TOKENS


def fixed_compute_bytes(file: GgufFile, batch_tokens: int) -> int:
    """What a batch is computed in, whatever the context."""
    width = int(file.of_model("embedding_length", 0))
    # An embedding is read before the vocabulary comes in.
    outputs = 0 if file.of_model("pooling_type") else len(file.tokens)
    numbers = outputs + _BUFFERS_PER_WIDTH * width
    return _BASE_COMPUTE_BYTES + batch_tokens * numbers * 4


def _too_little(file: GgufFile, fixed_bytes: int, kv_bytes: int, tokens: int, free_bytes: int) -> EngineFault:
    usable = int(free_bytes * LLAMACPP_USABLE)
    return EngineFault(
        f"{file.path.name} needs {_gib(fixed_bytes + kv_bytes)} (weights and buffers {_gib(fixed_bytes)}, "
        f"KV memory {_gib(kv_bytes)} for {tokens} tokens), but of {_gib(free_bytes)} free memory "
        f"{_gib(usable)} may be used.",
        "Free memory, choose a smaller model, a smaller `context_tokens`, fewer `slots`, or `kv_type: q8_0` "
        "or `q4_0`.",
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
