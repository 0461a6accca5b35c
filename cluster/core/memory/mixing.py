"""The weights that mix tokens: attention, MLA, gated delta nets, Mamba.

The shape says what a layer keeps, the fields what it computes with.
"""

from cluster.core.memory.fields import Fields
from cluster.core.memory.layer_kinds import Kind, kinds_of
from cluster.core.memory.recurring import DELTA_NET, MAMBA_HEADS, recurrent_weights
from cluster.core.memory.shape import Attention, Index, Latent, Layer, ModelShape, Recurrent
from cluster.core.memory.tensors import HIDDEN, Part, Weight, matrix, vector

DEFAULT_Q_LORA = 1536
"""Documented default of the published MLA implementations."""


def mixing_weights(fields: Fields, shape: ModelShape) -> tuple[tuple[Weight, ...], ...]:
    """Of each layer.  Raises InvalidField where a field is missing without which nothing can be said."""
    made = [_layer(fields, kept) for kept in shape.kinds]
    layers = [made[number] for number in shape.order]
    return _with_borrowers(fields, layers) if fields.has("num_kv_shared_layers") else tuple(layers)


def _with_borrowers(fields: Fields, layers: list[tuple[Weight, ...]]) -> tuple[tuple[Weight, ...], ...]:
    """Layers that read another's keys and values still have queries and an output of their own."""
    own: dict[Kind, tuple[Weight, ...]] = {}
    for number, kind in enumerate(kinds_of(fields).kinds):
        if layers[number]:
            own[kind] = tuple(each for each in layers[number] if each.part not in (Part.KEY, Part.VALUE))
        else:
            layers[number] = own.get(kind, ()) if kind is not Kind.NOTHING else ()
    return tuple(layers)


def mixing_doubts(fields: Fields, shape: ModelShape) -> tuple[str, ...]:
    """What `mixing_weights` had to assume."""
    doubts: list[str] = []
    kept = {type(mixer) for layer in shape.kinds for mixer in layer}
    if Latent in kept and "q_lora_rank" not in fields.body:
        doubts.append(f"q_lora_rank is missing: {DEFAULT_Q_LORA:,} is counted")
    if Recurrent in kept and not fields.has(DELTA_NET, "linear_attn_config", "conv_L_cache", *MAMBA_HEADS):
        doubts.append("the recurrent layers' fields are not known: counted as attention of all heads")
    return tuple(doubts)


def _layer(fields: Fields, layer: Layer) -> tuple[Weight, ...]:
    """Of several rows of one layer the first is what the model reads tokens by, the others are made of it."""
    weights: list[Weight] = []
    latent = next((mixer for mixer in layer if isinstance(mixer, Latent)), None)
    if latent is not None:
        weights += _latent(fields, latent) if fields.has("kv_lora_rank") else _row_latent(fields, latent)
        weights += _index(fields) if any(isinstance(mixer, Index) for mixer in layer) else ()
        return tuple(weights)
    for mixer in layer:
        match mixer:
            case Attention():
                weights += _attention(fields, mixer)
            case Recurrent():
                weights += _recurrent(fields, mixer)
            case Latent() | Index():
                pass
    return tuple(weights)


def _heads(fields: Fields, mixer: Attention) -> int:
    """Some models have more heads in the layers with a window."""
    other = fields.part("attention_other_setting") if mixer.window_tokens else None
    return (other or fields).needed("num_attention_heads", "n_head", "num_heads")


def _attention(fields: Fields, mixer: Attention) -> tuple[Weight, ...]:
    hidden, heads = fields.needed(*HIDDEN), _heads(fields, mixer)
    answers = heads * mixer.value_width
    values = matrix(Part.VALUE, hidden, mixer.kv_heads * mixer.value_width, mixer.kv_heads)
    return (
        matrix(Part.QUERY, hidden, heads * mixer.key_width + _gate_width(fields, heads, answers), heads),
        matrix(Part.KEY, hidden, mixer.kv_heads * mixer.key_width, mixer.kv_heads),
        *(() if mixer.values_are_keys else (values,)),
        matrix(Part.OUTPUT, answers, hidden, heads),
    )


def _gate_width(fields: Fields, heads: int, answers: int) -> int:
    """A gate on what attention found: for each number, or for each head.

    The first hybrids of gated delta nets have one and no field for it.
    """
    if fields.flag("attn_output_gate" if "attn_output_gate" in fields.body else DELTA_NET):
        return answers
    return heads if fields.flag("use_head_wise_attn_gate") else 0


def _queries(fields: Fields, heads: int, width: int) -> tuple[Weight, ...]:
    """`q_lora_rank` null: from the hidden numbers directly."""
    hidden, rank = fields.needed(*HIDDEN), _query_rank(fields)
    if not rank:
        return (matrix(Part.QUERY, hidden, heads * width, heads),)
    return matrix(Part.LATENT, hidden, rank, 1), matrix(Part.QUERY, rank, heads * width, heads), vector(rank)


def _query_rank(fields: Fields) -> int:
    return DEFAULT_Q_LORA if "q_lora_rank" not in fields.body else fields.number("q_lora_rank") or 0


def _latent(fields: Fields, mixer: Latent) -> tuple[Weight, ...]:
    """MLA: keys and values of all heads come out of one row, whose making every rank does itself."""
    hidden, heads = fields.needed(*HIDDEN), fields.needed("num_attention_heads")
    plain, values = fields.needed("qk_nope_head_dim"), fields.needed("v_head_dim")
    return (
        *_queries(fields, heads, plain + mixer.rotary_width),
        matrix(Part.LATENT, hidden, mixer.latent_width + mixer.rotary_width, 1),
        vector(mixer.latent_width),
        matrix(Part.KEY, mixer.latent_width, heads * (plain + values), heads),
        matrix(Part.OUTPUT, heads * values, hidden, heads),
    )


def _row_latent(fields: Fields, mixer: Latent) -> tuple[Weight, ...]:
    """The row itself is key and value of all heads; the output has two steps where `o_lora_rank` says so."""
    hidden, heads = fields.needed(*HIDDEN), fields.needed("num_attention_heads")
    width = mixer.latent_width + mixer.rotary_width
    rank, groups = fields.positive("o_lora_rank"), fields.positive("o_groups") or 1
    outputs = (matrix(Part.OUTPUT, heads * width, hidden, heads),)
    if rank is not None:
        first = matrix(Part.OUTPUT, heads * width // groups, groups * rank, groups)
        outputs = (first, matrix(Part.OUTPUT, groups * rank, hidden, groups))
    return *_queries(fields, heads, width), matrix(Part.LATENT, hidden, width, 1), *outputs


def _index(fields: Fields) -> tuple[Weight, ...]:
    """What chooses the tokens that sparse attention reads; whole on every rank."""
    hidden, rank = fields.needed(*HIDDEN), _query_rank(fields)
    heads, width = fields.needed("index_n_heads"), fields.needed("index_head_dim")
    return (
        matrix(Part.LATENT, rank or hidden, heads * width, 1),
        matrix(Part.LATENT, hidden, width + heads, 1),
    )


def _recurrent(fields: Fields, mixer: Recurrent) -> tuple[Weight, ...]:
    known = recurrent_weights(fields, mixer)
    if known is not None:
        return known
    heads = fields.needed("num_attention_heads")
    width = fields.positive("head_dim", "v_head_dim") or fields.needed(*HIDDEN) // heads
    return _attention(fields, Attention(heads, width, width))
