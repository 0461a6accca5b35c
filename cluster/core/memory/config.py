"""What a Hugging Face config.json says of a model's memory of tokens.

Fields alone are read, never a model's name.  Where one is missing or unknown the most is assumed, and said.
"""

from collections.abc import Callable, Mapping

from cluster.core.memory.fields import Fields
from cluster.core.memory.layer_kinds import NUM_LAYERS, Kind, kinds_of, num_layers_of
from cluster.core.memory.recurrent import conv_of, recurrent_of
from cluster.core.memory.shape import Attention, Index, Latent, Layer, Mixer, ModelShape, shape_of

DEFAULT_WINDOW_TOKENS = 4096
"""Where the config does not tell how long a sequence may be."""

_NESTED = ("text_config", "llm_config", "language_config")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
_WIDTH = ("hidden_size", "n_embd", "d_model")
_HEAD_WIDTH = ("head_dim", "attention_head_dim", "kv_channels")
_WINDOW = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len")

_CACHE_WORDS = ("kv_", "sliding", "compress", "recurrent", "sparse_attention")
_KNOWN = frozenset(
    {
        *_KV_HEADS,
        "kv_channels",
        "kv_lora_rank",
        "num_kv_shared_layers",
        "sliding_window",
        "sliding_window_size",
        "sliding_window_pattern",
        "use_sliding_window",
        "compress_ratios",
        "sparse_attention_config",
    }
)


def text_of(config: Mapping[str, object]) -> Mapping[str, object]:
    """The part that describes the language model, of one that also sees or hears."""
    whole = Fields(config, "config.json")
    parts = (whole.part(name) for name in _NESTED)
    return next((part.body for part in parts if part is not None), config)


def shape_of_config(config: Mapping[str, object]) -> ModelShape:
    """Raises InvalidField naming the field that is missing or wrong."""
    fields = Fields(text_of(config), "config.json")
    window_tokens = fields.positive(*_WINDOW) or DEFAULT_WINDOW_TOKENS
    for read in (_blocks, _compressed):
        layers = read(fields)
        if layers is not None:
            return shape_of(layers, window_tokens, _unknown(fields))
    listed = kinds_of(fields)
    layers, doubts = _layers(fields, listed.kinds)
    return shape_of(layers, window_tokens, (*listed.doubts, *doubts, *_unknown(fields)))


def _unknown(fields: Fields) -> tuple[str, ...]:
    """Fields that by their names matter to the memory of tokens."""
    names = sorted(
        name
        for name, value in fields.body.items()
        if value and name not in _KNOWN and any(name.startswith(word) for word in _CACHE_WORDS)
    )
    return tuple(f"{name} is not known: it is not counted" for name in names)


def _layers(fields: Fields, kinds: tuple[Kind, ...]) -> tuple[list[Layer], tuple[str, ...]]:
    doubts = list[str]()
    makers: Mapping[Kind, Callable[[], Layer]] = {
        Kind.FULL: lambda: _full(fields, doubts),
        Kind.UNKNOWN: lambda: _full(fields, doubts),
        Kind.SLIDING: lambda: _sliding(fields, doubts, "sliding_window", "sliding_window_size"),
        Kind.CHUNKED: lambda: _sliding(fields, doubts, "attention_chunk_size"),
        Kind.RECURRENT: lambda: (recurrent_of(fields, doubts),),
        Kind.CONV: lambda: (conv_of(fields),),
        Kind.BOTH: lambda: (*_full(fields, doubts), recurrent_of(fields, doubts)),
        Kind.NOTHING: lambda: (),
    }
    made = {kind: makers[kind]() for kind in sorted(set(kinds), key=lambda kind: kind.value)}
    layers = [made[kind] for kind in kinds]
    num_shared = fields.number("num_kv_shared_layers") or 0
    if 0 < num_shared < len(layers):
        layers[-num_shared:] = [()] * num_shared
    return layers, tuple(dict.fromkeys(doubts))


def _full(fields: Fields, doubts: list[str]) -> Layer:
    latent = fields.positive("kv_lora_rank")
    index = _index(fields)
    if latent is not None:
        return Latent(latent, fields.number("qk_rope_head_dim") or 0), *index
    key = fields.positive("global_head_dim") or _head_width(fields)
    value = fields.positive("global_head_dim", "v_head_dim") or key
    heads = fields.positive("num_global_key_value_heads") or _kv_heads(fields, doubts)
    return Attention(heads, key, value, values_are_keys=fields.flag("attention_k_eq_v")), *index


def _index(fields: Fields) -> tuple[Index, ...]:
    sparse = fields.part("sparse_attention_config")
    width = sparse.positive("sparse_index_dim") if sparse else fields.positive("index_head_dim")
    return () if width is None else (Index(width),)


def _sliding(fields: Fields, doubts: list[str], *names: str) -> Layer:
    window = fields.positive(*names)
    if window is None:
        doubts.append(f"{names[0]} is missing: counted as attention to all tokens")
    latent = fields.positive("kv_lora_rank")
    if latent is not None:
        return (Latent(latent, fields.number("qk_rope_head_dim") or 0, window_tokens=window),)
    key = fields.positive("swa_head_dim") or _head_width(fields)
    value = fields.positive("swa_v_head_dim", "v_head_dim") or key
    heads = fields.positive("swa_num_key_value_heads") or _kv_heads(fields, doubts)
    return (Attention(heads, key, value, window),)


def _kv_heads(fields: Fields, doubts: list[str]) -> int:
    heads = fields.positive(*_KV_HEADS)
    if heads is not None:
        return heads
    if fields.flag("multi_query"):
        return 1
    if _KV_HEADS[0] in fields.body:
        doubts.append(f"{_KV_HEADS[0]} is empty: as many as {_HEADS[0]} are counted")
    return fields.needed(*_HEADS)


def _head_width(fields: Fields) -> int:
    return fields.positive(*_HEAD_WIDTH) or fields.needed(*_WIDTH) // fields.needed(*_HEADS)


def _blocks(fields: Fields) -> list[Layer] | None:
    """A list that describes each layer by itself (models pruned by search)."""
    blocks = fields.entries("block_configs")
    if blocks is None:
        return None
    parts = [Fields({"block": block}, "config.json: block_configs").part("block") for block in blocks]
    return [_block(fields, part.part("attention") if part else None) for part in parts]


def _block(fields: Fields, attention: Fields | None) -> Layer:
    if attention is None:
        raise fields.wrong("block_configs", "should describe the `attention` of each layer.")
    if attention.flag("no_op") or attention.flag("replace_with_linear"):
        return ()
    width = _head_width(fields)
    heads = attention.positive("num_key_value_heads")
    if heads is None:
        heads = fields.needed(*_HEADS) // attention.needed("n_heads_in_group")
    return (Attention(heads, width, width),)


def _compressed(fields: Fields) -> list[Layer] | None:
    """A window of each token's row, and beyond it one row for each group of tokens (DeepSeek-V4).

    The index is kept at the finest ratio; the sums that make a group's row are kept in 32 bits, for one
    group, or for two where groups overlap (vLLM's compressor, read in its source).
    """
    ratios = fields.numbers("compress_ratios")
    if ratios is None:
        return None
    num_layers = num_layers_of(fields) or len(ratios)
    if len(ratios) < num_layers:
        raise fields.wrong(
            "compress_ratios", f"lists {len(ratios)} of {num_layers} layers ({NUM_LAYERS[0]})."
        )
    width, rotary = _head_width(fields), fields.number("qk_rope_head_dim") or 0
    window, finest = fields.needed("sliding_window"), min((ratio for ratio in ratios if ratio), default=0)
    index = fields.positive("index_head_dim")

    def layer(ratio: int) -> Layer:
        mixers: list[Mixer] = [Latent(width - rotary, rotary, window_tokens=window)]
        widths = (width, index) if index and ratio == finest else (width,)
        if ratio:
            mixers.append(Latent(width - rotary, rotary, ratio))
            mixers += [_sums(each, ratio, overlaps=ratio == finest) for each in widths]
            mixers += [Index(each, ratio) for each in widths[1:]]
        return tuple(mixers)

    return [layer(ratio) for ratio in ratios[:num_layers]]


def _sums(width: int, ratio: int, *, overlaps: bool) -> Latent:
    """Two numbers of 32 bits for each width, counted as four of 16."""
    num_groups = 2 if overlaps else 1
    return Latent(4 * num_groups * width, 0, window_tokens=num_groups * ratio)
