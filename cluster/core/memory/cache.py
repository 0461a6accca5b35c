"""The bytes that an engine keeps of a model's shape: for each token, and for each sequence.

    rows of all tokens  +  rows of the tokens within windows  +  states, one a sequence

What an engine does with them is a fact of each (`HABITS`); without an engine it is what the model cannot do
without, whatever runs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Literal

from cluster.core.layout import EngineKind
from cluster.core.memory.shape import Attention, Index, Latent, Layer, Mixer, ModelShape, Recurrent

KvType = Literal["f32", "f16", "q8_0", "q4_0"]

BYTES_PER_NUMBER: Mapping[KvType, Fraction] = {
    "f32": Fraction(4),
    "f16": Fraction(2),
    "q8_0": Fraction(34, 32),
    "q4_0": Fraction(18, 32),
}
"""bf16 counts as f16.  The quantised types keep blocks of 32 numbers, each with a scale of 2 bytes."""

STATE_BYTES = 4
"""States are kept in 32 bits.  vLLM keeps them in 16 where neither the model's config nor a person says."""

INDEX_GROUP = 128
INDEX_SCALE_BYTES = 4
"""An index's key in 8 bits, with a scale for each 128 numbers (vLLM's DeepSeek-V3.2, read in its source)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How an engine keeps what a model's layers need.

    `block_tokens`: a sequence takes memory by so many tokens at once.  `is_paged`: so do its windows, which
    may begin within a block; and kinds of layers share blocks, for which their numbers are made alike.
    `is_one_pool`: all sequences share the rows, in multiples of `block_tokens` together.
    `keeps_equal_values`: values that equal the keys are kept beside them.  `index_copies`: an index's key
    is kept so many times in the type of the cache; 0: once in 8 bits.  `convolution_bytes`: for each number
    of it; 0: as the cache.
    """

    block_tokens: int = 1
    is_paged: bool = False
    is_one_pool: bool = False
    keeps_equal_values: bool = True
    index_copies: int = 0
    convolution_bytes: int = 0


THE_MODEL = Habits(keeps_equal_values=False)

HABITS: Mapping[EngineKind, Habits] = {
    EngineKind.LLAMACPP: Habits(256, is_one_pool=True, index_copies=1, convolution_bytes=4),
    EngineKind.VLLM: Habits(32, is_paged=True),
    EngineKind.MLX: Habits(256, index_copies=2),
    EngineKind.FAKE: Habits(),
}
"""Read in the engines' sources: llama.cpp's caches of one pool for all sequences; vLLM 0.32 with blocks of 32
tokens on processors, 16 on cards; mlx-lm 0.32, whose index keeps its key as value, too."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How keys and values are kept, and over how many ranks."""

    kv_type: KvType = "f16"
    engine: EngineKind | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1

    @property
    def habits(self) -> Habits:
        return HABITS[self.engine] if self.engine else THE_MODEL


@dataclass(frozen=True, slots=True)
class Load:
    """`tokens` of KV memory shared by `num_slots` sequences.  `step_tokens`: what a step may read beyond the
    windows before they are cut."""

    tokens: int
    num_slots: int = 1
    step_tokens: int = 0


def kv_token_bytes(shape: ModelShape, keeping: Keeping) -> int:
    """What one further token takes of the rank that keeps most, once all windows are full."""
    return ceil(max(stage.row_bytes for stage in _stages(shape, keeping)))


def sequence_bytes(shape: ModelShape, keeping: Keeping) -> int:
    """What a sequence takes of the rank that keeps most, however long it is: full windows and states."""
    load = Load(shape.window_tokens)
    return ceil(max(stage.bounded_bytes(keeping.habits, load) for stage in _stages(shape, keeping)))


def session_bytes(shape: ModelShape, keeping: Keeping, tokens: int) -> int:
    """What one session of `tokens` takes of the rank that keeps most."""
    block = 1 if keeping.habits.is_one_pool else keeping.habits.block_tokens
    return rank_bytes(shape, keeping, Load(_rounded_up(tokens, block)))


def snapshot_bytes(shape: ModelShape, keeping: Keeping) -> int:
    """What a copy of one sequence's full windows and states takes."""
    return ceil(max(stage.snapshot_bytes() for stage in _stages(shape, keeping)))


def rank_bytes(shape: ModelShape, keeping: Keeping, load: Load) -> int:
    """The KV memory of the rank that keeps most."""
    return ceil(
        max(
            load.tokens * stage.row_bytes + stage.bounded_bytes(keeping.habits, load)
            for stage in _stages(shape, keeping)
        )
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    """What successive layers keep on one rank: of each token, of each token in a window, of each sequence."""

    row_bytes: Fraction
    windows: tuple[tuple[int, Fraction], ...]
    state_bytes: Fraction

    def snapshot_bytes(self) -> Fraction:
        return sum((window * row_bytes for window, row_bytes in self.windows), self.state_bytes)

    def bounded_bytes(self, habits: Habits, load: Load) -> Fraction:
        """What does not grow with the sequences."""
        rows = (_windows_tokens(window, habits, load) * row_bytes for window, row_bytes in self.windows)
        return sum(rows, load.num_slots * self.state_bytes)


@lru_cache(maxsize=1024)
def _stages(shape: ModelShape, keeping: Keeping) -> tuple[_Stage, ...]:
    """All that differ of those with as many layers as the largest rank has, wherever it begins.

    A planner asks for the same ones with many contexts.
    """
    num_layers = ceil(Fraction(len(shape.order), keeping.pipeline_parallel))
    starts = range(len(shape.order) - num_layers + 1)
    parts = (shape.order[at : at + num_layers] for at in starts)
    numbers = range(len(shape.kinds))
    counts = dict.fromkeys(tuple(part.count(number) for number in numbers) for part in parts)
    return tuple(_stage(dict(zip(shape.kinds, each, strict=True)), keeping) for each in counts)


def _stage(counts: Mapping[Layer, int], keeping: Keeping) -> _Stage:
    if keeping.habits.is_paged:
        counts = _padded({kind: count for kind, count in counts.items() if kind and count})
    rows, states, windows = Fraction(0), Fraction(0), dict[int, Fraction]()
    for mixer, count in ((mixer, count) for kind, count in counts.items() for mixer in kind):
        window = mixer.window_tokens if isinstance(mixer, Attention | Latent) else None
        row_bytes = count * _row_bytes(mixer, keeping)
        states += count * _state_bytes(mixer, keeping)
        if window is None:
            rows += row_bytes
        else:
            windows[window] = windows.get(window, Fraction(0)) + row_bytes
    return _Stage(rows, tuple(windows.items()), states)


def _padded(counts: Mapping[Layer, int]) -> dict[Layer, int]:
    """vLLM's groups of layers share blocks and so are of one size: that of the rarest kind, or of the most
    frequent if it is less than half as frequent again."""
    if len(counts) < 2 or any(len(kind) > 1 for kind in counts):
        return dict(counts)
    least, most = min(counts.values()), max(counts.values())
    size = most if 2 * most < 3 * least else least
    return {kind: _rounded_up(count, size) for kind, count in counts.items()}


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _windows_tokens(window: int, habits: Habits, load: Load) -> int:
    """The tokens that all sequences' windows hold: no more than there are."""
    block = habits.block_tokens
    each = _rounded_up(window - 1, block) + block if habits.is_paged else window
    tokens = min(load.num_slots * each + load.step_tokens, load.tokens)
    return _rounded_up(tokens, block) if habits.is_one_pool else tokens


def _state_bytes(mixer: Mixer, keeping: Keeping) -> Fraction:
    """What a sequence's state takes of a rank."""
    if not isinstance(mixer, Recurrent):
        return Fraction(0)
    ranks = keeping.tensor_parallel
    per_input = keeping.habits.convolution_bytes or BYTES_PER_NUMBER[keeping.kv_type]
    states_bytes = STATE_BYTES * -(-mixer.state_numbers // ranks)
    return states_bytes + Fraction(per_input) * -(-mixer.conv_numbers // ranks)


def _row_bytes(mixer: Mixer, keeping: Keeping) -> Fraction:
    """What one token's row takes of a rank."""
    per_number = BYTES_PER_NUMBER[keeping.kv_type]
    match mixer:
        case Attention(heads, key, value, _, are_equal):
            # With more ranks than heads each rank has a copy of one.
            width = key if are_equal and not keeping.habits.keeps_equal_values else key + value
            return -(-heads // keeping.tensor_parallel) * width * per_number
        case Latent(latent, rotary, per_tokens):
            return (latent + rotary) * per_number / per_tokens
        case Index(width, per_tokens):
            copies = keeping.habits.index_copies
            scales = -(-width // INDEX_GROUP) * INDEX_SCALE_BYTES
            return (copies * width * per_number if copies else Fraction(width + scales)) / per_tokens
        case Recurrent():
            return Fraction(0)
