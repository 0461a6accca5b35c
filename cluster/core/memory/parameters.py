"""From a config.json to every weight of the model: how many there are, and how many a token uses."""

from collections.abc import Mapping

from cluster.core.memory.config import shape_of_config, text_of
from cluster.core.memory.feeding import feeding_doubts, feeding_weights
from cluster.core.memory.fields import Fields
from cluster.core.memory.mixing import mixing_doubts, mixing_weights
from cluster.core.memory.tensors import HIDDEN, Parameters, Part, Weight, matrix, vector

_NORMS = 2
"""A layer has at least these, each of the hidden width."""


def parameters_of_config(config: Mapping[str, object]) -> Parameters:
    """Layers that guess several tokens ahead are not counted: engines leave them out unless told to.

    Raises InvalidField naming the field that is missing or wrong.
    """
    whole, fields = Fields(config, "config.json"), Fields(text_of(config), "config.json")
    shape = shape_of_config(config)
    norms = vector(_NORMS * fields.needed(*HIDDEN))
    mixing = mixing_weights(fields, shape)
    tied = fields.flag("tie_word_embeddings") or whole.flag("tie_word_embeddings")
    return Parameters(
        (_table(fields, Part.EMBEDDING), *_embedding_per_layer(fields, len(mixing))),
        tuple((*mixed, *feeding_weights(fields, layer), norms) for layer, mixed in enumerate(mixing)),
        () if tied else (_table(fields, Part.HEAD),),
        _vision(whole, fields.needed(*HIDDEN)),
        (*shape.doubts, *_doubts(whole, fields), *mixing_doubts(fields, shape), *feeding_doubts(fields)),
    )


def _table(fields: Fields, part: Part) -> Weight:
    return matrix(part, fields.needed(*HIDDEN), fields.needed("vocab_size", "n_vocab"))


def _embedding_per_layer(fields: Fields, num_layers: int) -> tuple[Weight, ...]:
    """Some small models look up numbers for each layer beside the hidden ones."""
    width = fields.positive("hidden_size_per_layer_input")
    if width is None:
        return ()
    return (matrix(Part.EMBEDDING, num_layers * width, fields.needed("vocab_size_per_layer_input")),)


def _doubts(whole: Fields, fields: Fields) -> tuple[str, ...]:
    is_nested = fields.body is not whole.body
    if is_nested and whole.part("vision_config") is None:
        return ("vision_config is missing: what the model sees with is not counted",)
    return ()


def _vision(whole: Fields, hidden: int) -> tuple[Weight, ...]:
    """A vision transformer: patches and places, layers of four square matrices and a network of two, and
    what merges neighbours into a token.  What hears is not counted."""
    fields = whole.part("vision_config")
    depth = fields.positive("depth", "num_hidden_layers") if fields else None
    if fields is None or depth is None:
        return ()
    width, inner = fields.needed("hidden_size"), fields.needed("intermediate_size")
    patch = fields.needed("patch_size") ** 2 * (fields.positive("temporal_patch_size") or 1)
    patch *= fields.positive("in_channels", "num_channels") or 3
    places = fields.number("num_position_embeddings") or 0
    return (
        Weight(Part.VISION, width, 4 * width + 2 * inner, depth, depth, max_ranks=1),
        Weight(Part.VISION, width, patch + places, max_ranks=1),
        _merger(fields, width, hidden),
    )


def _merger(fields: Fields, width: int, hidden: int) -> Weight:
    merged = width * (fields.positive("spatial_merge_size") or 1) ** 2
    out = fields.positive("out_hidden_size") or hidden
    num = 1 + len(fields.entries("deepstack_visual_indexes") or ())
    return Weight(Part.VISION, merged, merged + out, num, num, max_ranks=1)
