"""What a model keeps of the tokens it has read, layer by layer.

Widths count numbers, not bytes: the bytes follow from the type that an engine keeps them in (`cache`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attention:
    """Keys and values for each token: `kv_heads` heads, a key of `key_width` and a value of `value_width`.

    `value_width` is 0 where the key serves as value.  `window_tokens`: what lies further back is never read
    again; an engine may or may not give its memory back.  `shared`: it reads another layer's keys and
    values, and keeps none.
    """

    kv_heads: int
    key_width: int
    value_width: int
    window_tokens: int | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Latent:
    """One compressed row for each token, for all heads (MLA): `latent_width` and the rotary part.

    Every rank of a tensor-parallel group has the whole row.  `index_width`: the key of a sparse-attention
    indexer (DSA), one for each token; 0: there is none.  `compress_tokens`: how many tokens share a row.
    """

    latent_width: int
    rotary_width: int
    index_width: int = 0
    compress_tokens: int = 1
    window_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A state of constant size for each sequence (gated delta net, Mamba), whatever its length.

    `state_numbers` are kept in 32 bits or in the cache's type, by the engine; `conv_numbers`: the last
    inputs of the convolution before it.
    """

    state_numbers: int
    conv_numbers: int


Mixer = Attention | Latent | Recurrent | None
"""What a layer mixes tokens with; None: nothing is kept (a layer of experts alone)."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """`mixers`: one for each layer, in order.  `window_tokens`: the longest sequence.

    `doubts`: fields that this reader does not know, with what was assumed; then all bytes computed from the
    shape are an upper bound.
    """

    mixers: tuple[Mixer, ...]
    window_tokens: int
    doubts: tuple[str, ...] = ()
