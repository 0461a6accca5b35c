"""What a token costs whatever computes it: bytes to read, numbers to multiply, operations to start."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cluster.core.memory.cache import STATE_BYTES
from cluster.core.memory.config import shape_of_config, text_of
from cluster.core.memory.fields import Fields
from cluster.core.memory.packing import Quantisation
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.shape import Attention, Latent, Layer, Mixer, Recurrent
from cluster.core.memory.tensors import HIDDEN, Part, Weight

_ROUTED = (Part.EXPERT_UP, Part.EXPERT_DOWN)

ATTENTION_LAUNCHES = 12
"""Norm, three projections, two rotations, two writes to the cache, attention in two steps, output, sum."""
LATENT_LAUNCHES = 17
"""MLA: two projections more, two norms more, and one matrix before and one after attention."""
RECURRENT_LAUNCHES = 16
"""Norm, two projections, convolution, four gates and norms, split, the step and its state, output, sum."""
DENSE_LAUNCHES = 6
"""Norm, two ways up, activation, way down, sum."""
EXPERT_LAUNCHES = 13
"""Norm, router, softmax, choice in two steps, weights, two ways up, activation, down, weighting, two sums."""
SHARED_LAUNCHES = 5


@dataclass(frozen=True, slots=True)
class Span:
    """Layers that attend alike, together.  For each token that is attended to:

    `kv_numbers` are read; `decode_products` and `prefill_products` are multiplied for a token that is made.
    `window_tokens` None: all tokens before it.  `splits`: tensor parallel shares what is read.
    """

    kv_numbers: int
    decode_products: int
    prefill_products: int
    window_tokens: int | None = None
    splits: bool = True

    def tokens(self, depth: float) -> float:
        return depth if self.window_tokens is None else min(depth, self.window_tokens)


@dataclass(frozen=True, slots=True)
class Work:
    """`fixed_*`: weights of the layers that every token uses.  `routed_*`: those of all experts together;
    a token uses `expert_share` of them.  `head_*`: for each token that is made, not for those that are read.
    """

    fixed_bytes: int
    fixed_params: int
    routed_bytes: int
    routed_params: int
    head_bytes: int
    head_params: int
    expert_share: float
    state_bytes: int
    spans: tuple[Span, ...]
    num_launches: int
    num_layers: int
    hidden: int
    weight_bits: float

    def touched(self, num_tokens: float) -> float:
        """The share of the experts that so many tokens use together, if they choose without regard to each
        other."""
        return 1 - (1 - self.expert_share) ** num_tokens

    def active_bytes(self, num_tokens: float = 1) -> float:
        return self.fixed_bytes + self.head_bytes + self.routed_bytes * self.touched(num_tokens)

    def active_params(self, num_tokens: float = 1) -> float:
        return self.fixed_params + self.head_params + self.routed_params * self.touched(num_tokens)


def work_of(config: Mapping[str, object], quantisation: Quantisation) -> Work:
    """Raises InvalidField naming the field that is missing or wrong."""
    parameters, shape = parameters_of_config(config), shape_of_config(config)
    fields = Fields(text_of(config), "config.json")
    num_layers = len(parameters.layers)
    fixed, routed = _Sum(), _Sum()
    for layer, weights in enumerate(parameters.layers):
        for weight in weights:
            chosen = routed if weight.part in _ROUTED else fixed
            chosen.add(weight, quantisation.num_bytes(weight, layer, num_layers))
    head = _Sum()
    for weight in parameters.head or parameters.embedding[:1]:
        head.add(weight, quantisation.num_bytes(weight))
    return Work(
        fixed.num_bytes,
        fixed.num_params,
        routed.num_bytes,
        routed.num_params,
        head.num_bytes,
        head.num_params,
        routed.num_active / routed.num_params if routed.num_params else 0.0,
        STATE_BYTES * sum(_state_numbers(layer) for layer in shape.layers),
        tuple(_spans(fields, (mixer for layer in shape.layers for mixer in layer))),
        sum(_launches(kept, weights) for kept, weights in zip(shape.layers, parameters.layers, strict=True)),
        num_layers,
        fields.needed(*HIDDEN),
        8 * (fixed.num_bytes + routed.num_bytes) / (fixed.num_params + routed.num_params),
    )


class _Sum:
    def __init__(self) -> None:
        self.num_bytes = self.num_params = self.num_active = 0

    def add(self, weight: Weight, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        self.num_params += weight.num_params
        self.num_active += weight.num_active


def _state_numbers(layer: Layer) -> int:
    return sum(mixer.state_numbers + mixer.conv_numbers for mixer in layer if isinstance(mixer, Recurrent))


def _spans(fields: Fields, mixers: Iterable[Mixer]) -> Iterator[Span]:
    """Alike are those of one window.  Rows that several tokens share are taken as one a token."""
    heads = fields.positive("num_attention_heads", "n_head", "num_heads") or 1
    sums: dict[tuple[int | None, bool], list[int]] = {}
    for mixer in mixers:
        match mixer:
            case Attention(kv_heads, key, value, window):
                span = (
                    (window, True),
                    (kv_heads * (key + value), heads * (key + value), heads * (key + value)),
                )
            case Latent(latent, rotary, _, window):
                made = heads * ((fields.number("qk_nope_head_dim") or latent) + rotary)
                made += heads * (fields.number("v_head_dim") or latent)
                span = (window, False), (latent + rotary, heads * (2 * latent + rotary), made)
            case _:
                continue
        total = sums.setdefault(span[0], [0, 0, 0])
        sums[span[0]] = [one + other for one, other in zip(total, span[1], strict=True)]
    for (window, splits), (kv, decode, prefill) in sums.items():
        yield Span(kv, decode, prefill, window, splits)


def _launches(kept: Layer, weights: Iterable[Weight]) -> int:
    parts = {weight.part for weight in weights}
    mixing = ATTENTION_LAUNCHES if Part.QUERY in parts else 0
    if any(isinstance(mixer, Recurrent) for mixer in kept):
        mixing = RECURRENT_LAUNCHES
    if any(isinstance(mixer, Latent) for mixer in kept):
        mixing = LATENT_LAUNCHES
    feeding = DENSE_LAUNCHES * (Part.UP in parts) + EXPERT_LAUNCHES * (Part.EXPERT_UP in parts)
    return mixing + feeding + SHARED_LAUNCHES * (Part.SHARED_UP in parts)
