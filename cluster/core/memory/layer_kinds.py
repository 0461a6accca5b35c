"""Which layer of a config.json mixes tokens how.

Each way to write it is a function here, which answers None where the config is not written so.  The first
answer counts: a list of the layers comes before a rule that makes one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from cluster.core.memory.fields import Fields

NUM_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
MAMBA = ("mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "mamba_d_state", "ssm_state_size")
LINEAR = ("linear_num_value_heads",)

ASSUMED_LAYERS = 128
"""Where nothing tells: Llama-3.1-405B has 126."""

MOST_LAYERS = 1024
"""A config with more is damaged: published merges have less than a fifth of it (goliath-120b: 137)."""


class Kind(Enum):
    """`BOTH`: attention beside a recurrent state.  `UNKNOWN`: counted as attention to all tokens."""

    FULL = auto()
    SLIDING = auto()
    CHUNKED = auto()
    RECURRENT = auto()
    CONV = auto()
    BOTH = auto()
    NOTHING = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Listed:
    """`doubts`: as in ModelShape."""

    kinds: tuple[Kind, ...]
    doubts: tuple[str, ...] = ()


_WORDS = (
    ("chunked", Kind.CHUNKED),
    ("sliding", Kind.SLIDING),
    ("local", Kind.SLIDING),
    ("swa", Kind.SLIDING),
    ("linear", Kind.RECURRENT),
    ("mamba", Kind.RECURRENT),
    ("conv", Kind.CONV),
    ("hybrid", Kind.BOTH),
    ("full", Kind.FULL),
    ("global", Kind.FULL),
    ("moe", Kind.NOTHING),
    ("mlp", Kind.NOTHING),
)
_EXACT = {"attention": Kind.FULL}
_REPEATED = {"L": Kind.SLIDING, "G": Kind.FULL}
_LETTERS = {"M": Kind.RECURRENT, "*": Kind.FULL, "-": Kind.NOTHING, "E": Kind.NOTHING}


def kinds_of(fields: Fields) -> Listed:
    """Raises InvalidField."""
    for read in (_by_words, _by_letters, _by_numbers, _by_indices, _by_rule, _by_window):
        found = read(fields)
        if found is not None:
            return found
    return _without_list(fields)


def num_layers_of(fields: Fields) -> int | None:
    num_layers = fields.positive(*NUM_LAYERS)
    if num_layers is not None and num_layers > MOST_LAYERS:
        raise fields.wrong(NUM_LAYERS[0], f"is {num_layers}; no model has more than {MOST_LAYERS} layers.")
    return num_layers


def _by_words(fields: Fields) -> Listed | None:
    name = next((name for name in ("layer_types", "layers_block_type") if fields.entries(name)), None)
    if name is None:
        return None
    words = tuple(str(word) for word in fields.entries(name) or ())
    kinds = _as_many(fields, name, [_of_word(word) for word in words])
    unknown = sorted({word for word in words if _of_word(word) is Kind.UNKNOWN})
    return Listed(
        kinds, tuple(f"{name}: {word} is not known: counted as attention to all tokens" for word in unknown)
    )


def _of_word(word: str) -> Kind:
    found = (kind for part, kind in _WORDS if part in word.lower())
    return _EXACT.get(word.lower()) or next(found, Kind.UNKNOWN)


def _by_letters(fields: Fields) -> Listed | None:
    name = "hybrid_override_pattern"
    pattern = fields.body.get(name)
    if pattern is not None:
        return Listed(_as_many(fields, name, _of_letters(fields, name, pattern, _LETTERS)))
    name = "sliding_window_pattern"
    pattern = fields.body.get(name)
    if not isinstance(pattern, str):
        return None
    kinds = _of_letters(fields, name, pattern, _REPEATED)
    return Listed(_each(fields, lambda layer: kinds[layer % len(kinds)]))


def _of_letters(fields: Fields, name: str, pattern: object, letters: Mapping[str, Kind]) -> list[Kind]:
    if not isinstance(pattern, str) or not pattern or not set(pattern) <= set(letters):
        raise fields.wrong(name, f"is {pattern!r}; known are the letters {' '.join(letters)}.")
    return [letters[letter] for letter in pattern]


def _by_numbers(fields: Fields) -> Listed | None:
    for name, kinds in (
        ("hybrid_layer_pattern", (Kind.FULL, Kind.SLIDING)),
        ("attn_type_list", (Kind.RECURRENT, Kind.FULL)),
        ("no_rope_layers", (Kind.FULL, Kind.CHUNKED)),
        ("sliding_window_pattern", (Kind.FULL, Kind.SLIDING)),
    ):
        numbers = fields.numbers(name) if not isinstance(fields.body.get(name), int) else None
        if numbers is not None:
            if max(numbers) > 1:
                raise fields.wrong(name, "should list 0 and 1 alone.")
            return Listed(_as_many(fields, name, [kinds[number] for number in numbers]))
    return None


def _by_indices(fields: Fields) -> Listed | None:
    """Lists of the layers that attend to all tokens: from 0, or (Kimi's) from 1."""
    full, first, others = fields.numbers("full_attn_idxs"), 0, Kind.CONV
    linear = fields.part("linear_attn_config")
    if linear is not None:
        full, first, others = linear.numbers("full_attn_layers"), 1, Kind.RECURRENT
    if full is None:
        return None
    chosen = {index - first for index in full}
    return Listed(_each(fields, lambda layer: Kind.FULL if layer in chosen else others))


def _by_rule(fields: Fields) -> Listed | None:
    """One layer in so many is of another kind."""
    for name, others, offset in (
        ("full_attention_interval", Kind.RECURRENT, None),
        ("attn_layer_period", Kind.RECURRENT, fields.number("attn_layer_offset")),
        ("sliding_window_pattern", Kind.SLIDING, None),
        ("no_rope_layer_interval", Kind.CHUNKED, None),
    ):
        period = fields.positive(name)
        if period is not None and (others is not Kind.SLIDING or fields.has("sliding_window")):
            at = period - 1 if offset is None else offset
            return _every(fields, period, at, others)
    return None


def _every(fields: Fields, period: int, at: int, others: Kind) -> Listed:
    return Listed(_each(fields, lambda layer: Kind.FULL if layer % period == at else others))


def _by_window(fields: Fields) -> Listed | None:
    """The upper layers slide, where the config says that any do."""
    if not (fields.has("sliding_window") and fields.flag("use_sliding_window")):
        return None
    first = fields.number("max_window_layers") or 0
    return Listed(_each(fields, lambda layer: Kind.SLIDING if layer >= first else Kind.FULL))


def _without_list(fields: Fields) -> Listed:
    num_layers, doubts = num_layers_of(fields), list[str]()
    if num_layers is None:
        if not fields.has(*MAMBA, *LINEAR):
            raise fields.wrong(NUM_LAYERS[0], "is missing: this does not describe a language model.")
        num_layers = ASSUMED_LAYERS
        doubts.append(f"{NUM_LAYERS[0]} is missing: {ASSUMED_LAYERS} layers are counted")
    kind = Kind.FULL
    if fields.has(*MAMBA, *LINEAR):
        kind = Kind.BOTH
        doubts.append("layer_types is missing: each layer is counted with keys and values and with a state")
    elif fields.has("sliding_window") and "use_sliding_window" not in fields.body:
        doubts.append("layer_types is missing: no layer is counted as bound to its sliding_window")
    elif fields.has("attention_chunk_size"):
        doubts.append("layer_types is missing: no layer is counted as bound to its attention_chunk_size")
    return Listed((kind,) * num_layers, tuple(doubts))


def _each(fields: Fields, kind_of: Callable[[int], Kind]) -> tuple[Kind, ...]:
    num_layers = num_layers_of(fields) or fields.needed(*NUM_LAYERS)
    return tuple(kind_of(layer) for layer in range(num_layers))


def _as_many(fields: Fields, name: str, kinds: list[Kind]) -> tuple[Kind, ...]:
    """Layers listed beyond the model's own predict further tokens, and are not run."""
    num_layers = num_layers_of(fields) or len(kinds)
    if len(kinds) < num_layers:
        raise fields.wrong(name, f"lists {len(kinds)} of {num_layers} layers.")
    return tuple(kinds[:num_layers])
