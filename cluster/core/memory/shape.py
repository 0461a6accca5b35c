"""What a model keeps of the tokens it has read, layer by layer.

Widths count numbers, not bytes: the bytes follow from the type that an engine keeps them in (`cache`).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attention:
    """Keys and values for each token: `kv_heads` heads, a key of `key_width` and a value of `value_width`.

    `window_tokens`: what lies further back is never read again; an engine may or may not give its memory
    back.  `values_are_keys`: one projection makes both, so that an engine could keep it once.
    """

    kv_heads: int
    key_width: int
    value_width: int
    window_tokens: int | None = None
    values_are_keys: bool = False


@dataclass(frozen=True, slots=True)
class Latent:
    """One compressed row for all heads (MLA): `latent_width` and the rotary part, whole on every rank.

    `per_tokens`: how many tokens share a row.
    """

    latent_width: int
    rotary_width: int
    per_tokens: int = 1
    window_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """The key by which sparse attention (DSA) finds the tokens to read, whole on every rank."""

    index_width: int
    per_tokens: int = 1


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A state of constant size for each sequence (gated delta net, Mamba), whatever its length.

    `conv_numbers`: the last inputs of the convolution before it.
    """

    state_numbers: int
    conv_numbers: int = 0


Mixer = Attention | Latent | Index | Recurrent
"""Something that a layer keeps of the tokens."""

Layer = tuple[Mixer, ...]
"""All that one layer keeps.  Empty: it keeps nothing, or reads what another layer keeps."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """`kinds[order[i]]` is what layer i keeps.  `window_tokens`: the longest sequence.

    `doubts`: fields that are missing or unknown, with what was assumed; then all bytes computed from the
    shape are an upper bound as far as the known fields tell.
    """

    kinds: tuple[Layer, ...]
    order: tuple[int, ...]
    window_tokens: int
    doubts: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(self.kinds[kind] for kind in self.order)

    @property
    def kv_heads(self) -> tuple[int, ...]:
        """The numbers of KV heads that a rank's part of a layer is counted in."""
        return tuple(
            mixer.kv_heads for layer in self.kinds for mixer in layer if isinstance(mixer, Attention)
        )


def shape_of(layers: Sequence[Layer], window_tokens: int, doubts: tuple[str, ...] = ()) -> ModelShape:
    kinds = tuple(dict.fromkeys(layers))
    numbers = {kind: number for number, kind in enumerate(kinds)}
    return ModelShape(kinds, tuple(numbers[layer] for layer in layers), window_tokens, doubts)
