"""The weights that work on each token alone: a dense network, or experts and their router."""

from cluster.core.memory.fields import Fields
from cluster.core.memory.recurring import DELTA_NET
from cluster.core.memory.tensors import HIDDEN, Part, Weight, matrix

_NUM_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_NUM_USED = ("num_experts_per_tok", "top_k_experts", "moe_top_k", "moe_k", "num_experts_per_token")
_NUM_SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
_SHARED_WIDTH = "shared_expert_intermediate_size"
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
_DENSE_WIDTH = ("intermediate_size", "n_inner", "ffn_hidden_size")
_DENSE = (Part.UP, Part.DOWN)
_SHARED = (Part.SHARED_UP, Part.SHARED_DOWN)
_BLOCK_WIDTH = 256
_ROUTED = (Part.EXPERT_UP, Part.EXPERT_DOWN)


def feeding_weights(fields: Fields, layer: int) -> tuple[Weight, ...]:
    """Of one layer; where a pattern gives each layer one task, only those that it says."""
    pattern = str(fields.body.get("hybrid_override_pattern") or "")
    if pattern and pattern[layer] not in "E-":
        return ()
    blocks = fields.entries("block_configs")
    if blocks is not None:
        return _block(fields, Fields({"block": blocks[layer]}, "config.json: block_configs"))
    if not _has_experts(fields, layer):
        width = fields.positive("intermediate_size_mlp") or fields.needed(*_DENSE_WIDTH)
        return _network(fields, width, _DENSE)
    both = fields.flag("enable_moe_block")
    return *(_network(fields, fields.needed("intermediate_size"), _DENSE) if both else ()), *_experts(fields)


def _block(fields: Fields, blocks: Fields) -> tuple[Weight, ...]:
    """A layer that is described by itself.  `ffn_mult` is that of the hidden width by which Llama's own width
    comes out of 2/3 of it, rounded up to 256 (the published implementation of pruned models).  A matrix may
    stand in for attention or network."""
    block, hidden = blocks.part("block"), fields.needed(*HIDDEN)
    parts = [block.part(name) for name in ("attention", "ffn")] if block else []
    linear = [matrix(Part.UP, hidden, hidden) for part in parts if part and part.flag("replace_with_linear")]
    inner = parts[-1] if parts else None
    if inner is None or inner.flag("no_op") or inner.flag("replace_with_linear"):
        return tuple(linear)
    factor = inner.body.get("ffn_mult")
    if not isinstance(factor, int | float):
        return *linear, *_network(fields, inner.needed("intermediate_size"), _DENSE)
    width = -(-int(2 * factor * hidden / 3) // _BLOCK_WIDTH) * _BLOCK_WIDTH
    return *linear, *_network(fields, width, _DENSE)


def feeding_doubts(fields: Fields) -> tuple[str, ...]:
    """What `feeding_weights` had to assume."""
    if not _num_experts(fields):
        return ()
    doubts: list[str] = []
    if not fields.has(*_NUM_USED):
        doubts.append(f"{_NUM_USED[0]} is missing: every expert is counted as active")
    if fields.has("n_routed_experts") and "n_shared_experts" not in fields.body:
        doubts.append("n_shared_experts is missing: 1 is counted, as the published implementations do")
    if fields.has(DELTA_NET) and _SHARED_WIDTH not in fields.body:
        doubts.append(f"{_SHARED_WIDTH} is missing: the width of an expert is counted")
    if fields.has("hybrid_override_pattern") and "moe_latent_size" not in fields.body:
        doubts.append("moe_latent_size is missing: experts are counted as working on all hidden numbers")
    return tuple(doubts)


def _num_experts(fields: Fields) -> int:
    return fields.number(*_NUM_EXPERTS) or 0


def _has_experts(fields: Fields, layer: int) -> bool:
    """Which layers have experts is said in many ways; without any, all have."""
    if not _num_experts(fields):
        return False
    pattern = fields.body.get("hybrid_override_pattern")
    if pattern:
        return str(pattern)[layer] == "E"
    kinds = _listed(fields, "mlp_layer_types", layer)
    if kinds is not None:
        return kinds[layer] == "sparse"
    flags = _listed(fields, "moe_layer_freq", layer)
    if flags is not None:
        return bool(flags[layer])
    named = fields.body.get("moe_layers_enum")
    if named:
        return str(layer) in str(named).replace(" ", "").split(",")
    return _in_step(fields, layer) and layer not in (fields.entries("mlp_only_layers") or ())


def _listed(fields: Fields, name: str, layer: int) -> tuple[object, ...] | None:
    """A list with an entry for each layer; None where it is a number, or not there."""
    entries = None if isinstance(fields.body.get(name), int) else fields.entries(name)
    if entries is not None and len(entries) <= layer:
        raise fields.wrong(name, f"lists {len(entries)} layers, and there are more.")
    return entries


def _in_step(fields: Fields, layer: int) -> bool:
    step = fields.positive("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_interval") or 1
    every = fields.positive("moe_layer_freq") or 1
    first = fields.number("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers") or 0
    return layer >= first and not ((layer + 1) % step or layer % every)


def _experts(fields: Fields) -> tuple[Weight, ...]:
    """`moe_latent_size`: the routed experts work on fewer numbers, with a way there and back."""
    num, width, hidden = _num_experts(fields), fields.needed(*_EXPERT_WIDTH), fields.needed(*HIDDEN)
    latent, shared = fields.number("moe_latent_size") or 0, _shared_width(fields, width)
    ways = (matrix(Part.LATENT, hidden, latent, 1), matrix(Part.LATENT, latent, hidden, 1))
    return (
        matrix(Part.ROUTER, hidden, num, 1),
        *(ways if latent else ()),
        *_network(fields, width, _ROUTED, latent or hidden, num, fields.positive(*_NUM_USED) or num),
        *(_network(fields, shared, _SHARED) if shared else ()),
    )


def _shared_width(fields: Fields, width: int) -> int:
    """All shared experts of a layer side by side.  `intermediate_size_mlp`: Llama 4, which has one."""
    told = fields.positive(_SHARED_WIDTH, "share_expert_dim")
    if told is not None:
        return told
    if fields.has("intermediate_size_mlp") or (fields.has(DELTA_NET) and _SHARED_WIDTH not in fields.body):
        return width
    is_silent = fields.has("n_routed_experts") and "n_shared_experts" not in fields.body
    num = 1 if is_silent else fields.number(*_NUM_SHARED) or 0
    return num * (fields.positive("moe_shared_expert_intermediate_size") or width)


def _network(
    fields: Fields, width: int, parts: tuple[Part, Part], hidden: int = 0, copies: int = 1, used: int = 1
) -> tuple[Weight, Weight]:
    """Up and down again; a gate doubles the way up, unless the activation is a squared ReLU."""
    hidden = hidden or fields.needed(*HIDDEN)
    default = "relu2" if fields.has("hybrid_override_pattern") else "silu"
    activation = fields.body.get("mlp_hidden_act") or fields.body.get("hidden_act") or default
    up, down = parts
    return (
        Weight(up, width if activation == "relu2" else 2 * width, hidden, copies, used),
        Weight(down, hidden, width, copies, used),
    )
