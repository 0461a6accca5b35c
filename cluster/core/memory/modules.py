"""What quantisers call the parts of a model, to find the modules that they leave out or treat apart."""

import re
from collections.abc import Iterable, Iterator, Mapping

from cluster.core.errors import InvalidField
from cluster.core.memory.tensors import Part

_OUTSIDE: Mapping[Part, tuple[str, ...]] = {
    Part.EMBEDDING: ("embed_tokens", "wte"),
    Part.HEAD: ("lm_head", "output"),
}
_INSIDE: Mapping[Part, tuple[str, ...]] = {
    Part.QUERY: ("self_attn.q_proj", "self_attn.q_b_proj", "self_attn.qkv_proj", "mixer.q_proj"),
    Part.KEY: ("self_attn.k_proj", "self_attn.kv_b_proj", "self_attn.qkv_proj", "mixer.k_proj"),
    Part.VALUE: ("self_attn.v_proj", "self_attn.qkv_proj", "mixer.v_proj"),
    Part.OUTPUT: ("self_attn.o_proj", "mixer.o_proj"),
    Part.LATENT: ("self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.fused_qkv_a_proj"),
    Part.MIXER: ("linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv", "mixer.in_proj", "mamba.in_proj"),
    Part.UP: ("mlp.up_proj", "mlp.gate_up_proj", "mixer.up_proj"),
    Part.DOWN: ("mlp.down_proj", "mixer.down_proj"),
    Part.SHARED_UP: (
        "mlp.shared_experts.up_proj",
        "mlp.shared_expert.up_proj",
        "mixer.shared_experts.up_proj",
    ),
    Part.SHARED_DOWN: ("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj"),
    Part.EXPERT_UP: ("mlp.experts.0.up_proj", "mlp.switch_mlp.up_proj", "mlp.experts.gate_up_proj"),
    Part.EXPERT_DOWN: ("mlp.experts.0.down_proj", "mlp.switch_mlp.down_proj", "mlp.experts.down_proj"),
    Part.ROUTER: ("mlp.gate", "mlp.router", "block_sparse_moe.gate", "mixer.gate", "router"),
}
_STEMS = ("model.", "model.language_model.", "language_model.model.", "backbone.", "")
_AT_LAYERS = re.compile(r"(?:^|\.)(layers\..*)")


class Names:
    """Modules as a quantiser lists them: paths or their ends, regular expressions behind `re:`, and globs."""

    def __init__(self, listed: Iterable[str]) -> None:
        """Raises InvalidField."""
        patterns = tuple(listed)
        self._literal = {_cut(each) for each in patterns if not _is_open(each)}
        self._open = [_compiled(each) for each in patterns if _is_open(each)]

    def outside(self, part: Part) -> bool:
        """Embedding and head."""
        return any(self._names(name, name) for name in _OUTSIDE.get(part, ()))

    def layers(self, part: Part, num_layers: int) -> frozenset[int]:
        """The layers in which they name this part."""
        return frozenset(layer for layer in range(num_layers) if self._inside(part, layer))

    def _inside(self, part: Part, layer: int) -> bool:
        return any(self._names(module, f"layers.{layer}.{module}") for module in _INSIDE.get(part, ()))

    def _names(self, module: str, path: str) -> bool:
        if any(
            each in self._literal for each in (*_ancestors(path), *_ancestors(module), *module.split("."))
        ):
            return True
        return any(one.match(stem + path) for one in self._open for stem in _STEMS)


def _cut(path: str) -> str:
    """From `layers.` on, so that models that also see count like those that do not."""
    found = _AT_LAYERS.search(path)
    return found[1] if found else path.removeprefix("model.")


def _is_open(pattern: str) -> bool:
    return pattern.startswith("re:") or "*" in pattern


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_expression(pattern))
    except re.error as fault:
        problem = f"names modules by {pattern!r:.60}, which is no regular expression ({fault})."
        raise InvalidField("quantization_config", problem, "Correct it in the config.json.") from fault


def _expression(pattern: str) -> str:
    if pattern.startswith("re:"):
        return pattern.removeprefix("re:")
    return ".*".join(re.escape(piece) for piece in pattern.split("*")) + "$"


def _ancestors(path: str) -> Iterator[str]:
    pieces = path.split(".")
    return (".".join(pieces[:num]) for num in range(1, len(pieces) + 1))
