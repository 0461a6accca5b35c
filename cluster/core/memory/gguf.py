"""What a GGUF's header says of a model's memory of tokens, as llama.cpp reads it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.core.memory.fields import Fields
from cluster.core.memory.shape import Attention, Index, Latent, Layer, ModelShape, Recurrent, shape_of

DEFAULT_WINDOW_TOKENS = 4096

_KV_HEADS = "attention.head_count_kv"
_PATTERN = "attention.sliding_window_pattern"
_RECURRENT = "attention.recurrent_layers"

_PERIODS: Mapping[str, int] = {"cohere2": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6, "gpt-oss": 2, "olmo2": 4}
"""Which layers slide is in llama.cpp's code where the header lacks it: all but the last of so many."""


def shape_of_gguf(metadata: Mapping[str, object]) -> ModelShape:
    """Raises InvalidField naming the field that is missing or wrong."""
    architecture = str(metadata.get("general.architecture", ""))
    prefix = f"{architecture}."
    body = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    fields = Fields(body, f"GGUF header, architecture {architecture or 'missing'}")
    # The layers that predict further tokens are in the file, but llama.cpp does not run them.
    num_layers = fields.needed("block_count") - (fields.number("nextn_predict_layers") or 0)
    reader = _Reader(fields, num_layers)
    slides, doubts = _slides(fields, architecture, num_layers)
    recurs = _recurs(reader)
    layers = [reader.layer(layer, slides[layer], recurs[layer]) for layer in range(num_layers)]
    num_shared = fields.number("attention.shared_kv_layers") or 0
    if 0 < num_shared < num_layers:
        layers[-num_shared:] = [()] * num_shared
    return shape_of(layers, window_of_gguf(metadata), doubts)


def window_of_gguf(metadata: Mapping[str, object]) -> int:
    """The longest sequence the model was made for, in tokens."""
    architecture = metadata.get("general.architecture", "")
    fields = Fields(metadata, "GGUF header")
    return fields.positive(f"{architecture}.context_length") or DEFAULT_WINDOW_TOKENS


@dataclass(frozen=True, slots=True)
class _Reader:
    fields: Fields
    num_layers: int

    def of_each(self, name: str) -> tuple[int, ...] | None:
        """A number for each layer, whether the header has one for all or a list."""
        if isinstance(self.fields.body.get(name), int | float):
            return (self.fields.number(name) or 0,) * self.num_layers
        numbers = self.fields.numbers(name)
        if numbers is not None and len(numbers) < self.num_layers:
            raise self.fields.wrong(name, f"lists {len(numbers)} of {self.num_layers} layers.")
        return numbers

    def heads(self) -> tuple[int, ...]:
        heads = self.of_each("attention.head_count")
        if heads is None:
            raise self.fields.wrong("attention.head_count", "is missing: this describes no language model.")
        return heads

    def kv_heads(self) -> tuple[int, ...]:
        return self.of_each(_KV_HEADS) or self.heads()

    def layer(self, layer: int, window: int | None, recurs: bool) -> Layer:
        mixers: Layer = (self.attention(layer, window), *self.index()) if self.kv_heads()[layer] else ()
        if not recurs:
            return mixers
        # Two fields of the header say so where a layer has both.
        return (self.state(),) if _is_either(self.fields) else (*mixers, self.state())

    def attention(self, layer: int, window: int | None) -> Attention | Latent:
        key, value = self.width("key", window), self.width("value", window)
        rank = self.fields.positive("attention.kv_lora_rank")
        # Files without these were made for a llama.cpp that kept all heads.
        if rank and self.fields.has("attention.key_length_mla") and rank <= key:
            return Latent(rank, key - rank, window_tokens=window)
        return Attention(self.kv_heads()[layer], key, value, window)

    def width(self, part: str, window: int | None) -> int:
        name = f"attention.{part}_length"
        names = (name, f"{name}_swa")[:: 1 if window is None else -1]
        found = self.fields.positive(*names)
        return found or self.fields.needed("embedding_length") // max(*self.heads(), 1)

    def index(self) -> tuple[Index, ...]:
        width = self.fields.positive("attention.indexer.key_length")
        return () if width is None else (Index(width),)

    def state(self) -> Recurrent:
        """llama.cpp's `n_embd_s` and `n_embd_r`."""
        fields = self.fields
        if fields.has("shortconv.l_cache"):
            return Recurrent(0, (fields.needed("shortconv.l_cache") - 1) * fields.needed("embedding_length"))
        if fields.has("wkv.head_size"):
            width = fields.needed("embedding_length")
            shifted = (fields.number("token_shift_count") or 0) * width
            return Recurrent(width * fields.needed("wkv.head_size"), shifted)
        kernel = fields.needed("ssm.conv_kernel") - 1
        if fields.has("kda.head_dim"):
            width = fields.needed("kda.head_dim")
            return Recurrent(max(self.heads()) * width**2, 3 * kernel * max(self.heads()) * width)
        inner, state = fields.needed("ssm.inner_size"), fields.needed("ssm.state_size")
        return Recurrent(
            inner * state, kernel * (inner + 2 * (fields.number("ssm.group_count") or 0) * state)
        )


def _is_either(fields: Fields) -> bool:
    """A layer is recurrent or attends: the header lists which."""
    return fields.has(_RECURRENT, "full_attention_interval")


def _recurs(reader: _Reader) -> tuple[bool, ...]:
    """Which layers have a state of constant size."""
    fields, num_layers = reader.fields, reader.num_layers
    if not fields.has("ssm.conv_kernel", "shortconv.l_cache", "wkv.head_size"):
        return (False,) * num_layers
    listed = reader.of_each(_RECURRENT)
    if listed is not None:
        return tuple(bool(recurs) for recurs in listed)
    interval = fields.positive("full_attention_interval")
    if interval is not None:
        return tuple((layer + 1) % interval != 0 for layer in range(num_layers))
    if all(reader.kv_heads()[:num_layers]):
        return (True,) * num_layers
    # With a list of widths, a layer without heads and with a width is a feed-forward one.
    widths = fields.body.get("feed_forward_length")
    fed = (0,) * num_layers if isinstance(widths, int) else reader.of_each("feed_forward_length")
    pairs = zip(reader.kv_heads(), fed or (0,) * num_layers, strict=False)
    return tuple(not heads and not width for heads, width in pairs)


def _slides(
    fields: Fields, architecture: str, num_layers: int
) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    """Each layer's window; and doubts."""
    window = fields.positive("attention.sliding_window")
    if window is None:
        return (None,) * num_layers, ()
    if not isinstance(fields.body.get(_PATTERN), int):
        listed = fields.numbers(_PATTERN)
        if listed is not None and len(listed) < num_layers:
            raise fields.wrong(_PATTERN, f"lists {len(listed)} of {num_layers} layers.")
        if listed is not None:
            return tuple(window if slides else None for slides in listed[:num_layers]), ()
    period = fields.positive(_PATTERN) or _PERIODS.get(architecture)
    if period is None:
        doubt = f"{_PATTERN} is missing: no layer is counted as bound to its attention.sliding_window"
        return (None,) * num_layers, (doubt,)
    return tuple(window if layer % period < period - 1 else None for layer in range(num_layers)), ()
