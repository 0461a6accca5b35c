"""The weights of layers whose memory has a constant size: gated delta nets, Mamba, short convolutions."""

from cluster.core.memory.fields import Fields
from cluster.core.memory.recurrent import inner_width, num_groups
from cluster.core.memory.shape import Recurrent
from cluster.core.memory.tensors import HIDDEN, Part, Weight, matrix, vector

DELTA_NET = "linear_num_value_heads"
MAMBA_HEADS = ("mamba_num_heads", "mamba_n_heads")


def recurrent_weights(fields: Fields, mixer: Recurrent) -> tuple[Weight, ...] | None:
    """None where no field that is known tells."""
    linear = fields.part("linear_attn_config")
    if fields.has(DELTA_NET):
        return _delta_net(fields)
    if linear is not None:
        return _delta_attention(fields.needed(*HIDDEN), linear)
    if not mixer.state_numbers:
        return _convolution(fields)
    return _mamba(fields) if fields.has(*MAMBA_HEADS) else None


def _delta_net(fields: Fields) -> tuple[Weight, ...]:
    """Queries, keys, values and a gate, and two numbers a head by which the state decays and learns."""
    hidden, heads = fields.needed(*HIDDEN), fields.needed(DELTA_NET)
    key_heads = fields.needed("linear_num_key_heads")
    keys = key_heads * fields.needed("linear_key_head_dim")
    values = heads * fields.needed("linear_value_head_dim")
    return (
        matrix(Part.MIXER, hidden, 2 * keys + 2 * values + 2 * heads, key_heads),
        matrix(Part.MIXER, values, hidden, key_heads),
        vector((2 * keys + values) * fields.needed("linear_conv_kernel_dim")),
    )


def _delta_attention(hidden: int, linear: Fields) -> tuple[Weight, ...]:
    """Kimi's: queries, keys, values and a number a head, and two gates through a narrow layer."""
    heads, width = linear.needed("num_heads"), linear.needed("head_dim")
    gate = (matrix(Part.MIXER, hidden, width, 1), matrix(Part.MIXER, width, heads * width, heads))
    return (
        matrix(Part.MIXER, hidden, 3 * heads * width + heads, heads),
        *gate,
        *gate,
        matrix(Part.MIXER, heads * width, hidden, heads),
        vector(3 * heads * width * linear.needed("short_conv_kernel_size")),
    )


def _mamba(fields: Fields) -> tuple[Weight, ...]:
    """Mamba 2: input, gate and a step a head, and for each group two states' worth of projections."""
    hidden, heads = fields.needed(*HIDDEN), fields.needed(*MAMBA_HEADS)
    inner, groups = inner_width(fields, heads), num_groups(fields)
    states = 2 * groups * fields.needed("ssm_state_size", "mamba_d_state")
    return (
        matrix(Part.MIXER, hidden, 2 * inner + heads, heads),
        matrix(Part.MIXER, hidden, states, groups),
        matrix(Part.MIXER, inner, hidden, heads),
        vector((inner + states) * fields.needed("conv_kernel", "mamba_d_conv")),
    )


def _convolution(fields: Fields) -> tuple[Weight, ...]:
    """A convolution between two gates, and nothing else."""
    hidden = fields.needed(*HIDDEN)
    kernel = vector(hidden * fields.needed("conv_L_cache"))
    return matrix(Part.MIXER, hidden, 3 * hidden), matrix(Part.MIXER, hidden, hidden), kernel
