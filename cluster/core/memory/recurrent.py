"""The states of constant size that a config.json describes."""

from cluster.core.memory.fields import Fields
from cluster.core.memory.shape import Recurrent

_STATE = ("ssm_state_size", "mamba_d_state")
_KERNEL = ("conv_kernel", "mamba_d_conv")


def recurrent_of(fields: Fields, doubts: list[str]) -> Recurrent:
    """Raises InvalidField naming what is missing."""
    if fields.has("linear_num_value_heads"):
        return _delta_net(fields)
    linear = fields.part("linear_attn_config")
    if linear is not None:
        return _delta_attention(linear)
    if fields.has(*_STATE):
        heads = fields.positive("mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
        return _mamba(fields) if heads is None else _mamba_heads(fields, heads)
    if not fields.has("attn_type_list"):
        doubts.append("linear_num_value_heads is missing: a square state for each attention head is counted")
    heads = fields.needed("num_attention_heads")
    width = fields.positive("head_dim") or fields.needed("hidden_size") // heads
    return Recurrent(heads * width * width)


def conv_of(fields: Fields) -> Recurrent:
    """A short convolution alone (LFM2)."""
    return Recurrent(0, (fields.needed("conv_L_cache") - 1) * fields.needed("hidden_size"))


def _delta_net(fields: Fields) -> Recurrent:
    """A matrix for each value head; the convolution runs over queries, keys and values."""
    heads, key_heads = fields.needed("linear_num_value_heads"), fields.needed("linear_num_key_heads")
    key, value = fields.needed("linear_key_head_dim"), fields.needed("linear_value_head_dim")
    channels = 2 * key_heads * key + heads * value
    return Recurrent(heads * key * value, channels * (fields.needed("linear_conv_kernel_dim") - 1))


def _delta_attention(linear: Fields) -> Recurrent:
    """Kimi's delta attention: queries, keys and values are of one width."""
    heads, width = linear.needed("num_heads"), linear.needed("head_dim")
    kernel = linear.needed("short_conv_kernel_size")
    return Recurrent(heads * width * width, 3 * heads * width * (kernel - 1))


def _mamba_heads(fields: Fields, heads: int) -> Recurrent:
    """Mamba 2: the convolution runs over the inner width and, for each group, two states."""
    state, inner = fields.needed(*_STATE), inner_width(fields, heads)
    return Recurrent(inner * state, (inner + 2 * num_groups(fields) * state) * (fields.needed(*_KERNEL) - 1))


def num_groups(fields: Fields) -> int:
    """Of a Mamba 2 layer's states."""
    return fields.positive("n_groups", "mamba_n_groups", "mamba_ngroups") or 1


def inner_width(fields: Fields, heads: int) -> int:
    """Of all heads of a Mamba 2 layer: without a head's own width they share the expanded one."""
    if fields.body.get("mamba_d_head") == "auto":
        return _expanded_width(fields)
    width = fields.positive("mamba_head_dim", "mamba_d_head", "mamba_headdim")
    return _expanded_width(fields) if width is None else heads * width


def _mamba(fields: Fields) -> Recurrent:
    inner = _expanded_width(fields)
    return Recurrent(inner * fields.needed(*_STATE), inner * (fields.needed(*_KERNEL) - 1))


def _expanded_width(fields: Fields) -> int:
    return (fields.positive("mamba_expand", "expand") or 2) * fields.needed("hidden_size")
