"""How weights are packed: as a config.json says, or as a quantisation is named."""

from typing import Any

import pytest

from cluster.core.errors import InvalidField
from cluster.core.memory.packing import Quantisation
from cluster.core.memory.quantisation import quantisation_named, quantisation_of_config
from cluster.core.memory.tensors import Part, Weight

LAYERS = 8


def bits(found: Quantisation, part: Part, layer: int = 3, inputs: int = 4096) -> float:
    return found.packing(Weight(part, 64, inputs), layer, LAYERS).bits


def told(**quantisation: Any) -> Quantisation:  # noqa: ANN401 - whatever JSON can say
    config = {"num_hidden_layers": LAYERS, "dtype": "bfloat16", "quantization_config": quantisation}
    return quantisation_of_config(config)


def test_mlx_packs_tables_too_and_a_module_can_have_its_own_form() -> None:
    own = {"model.layers.3.mlp.gate": {"bits": 8, "group_size": 64}, "model.layers.3.self_attn.q_proj": False}
    form = {"bits": 4, "group_size": 32, **own}
    found = quantisation_of_config({"num_hidden_layers": LAYERS, "quantization": form})
    assert bits(found, Part.EMBEDDING) == bits(found, Part.EXPERT_UP) == 5.0
    assert bits(found, Part.ROUTER) == 8.5
    assert (bits(found, Part.QUERY), bits(found, Part.QUERY, layer=4)) == (16, 5.0)
    assert bits(found, Part.VECTOR) == 16


def test_mxfp4_experts_of_mlx_beside_eight_bits() -> None:
    linear = {"bits": 8, "group_size": 64}
    paths = [f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(LAYERS) for name in "qkvo"]
    form = {"mode": "mxfp4", "bits": 4, "group_size": 32, **dict.fromkeys(paths, linear), "lm_head": linear}
    found = quantisation_of_config({"num_hidden_layers": LAYERS, "quantization": form})
    assert bits(found, Part.EXPERT_DOWN) == 4.25
    assert bits(found, Part.OUTPUT) == bits(found, Part.HEAD) == 8.5


@pytest.mark.parametrize(
    ("quantisation", "of_matrix"),
    [
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 128**2),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, 4 + 16 / 128),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5),
        ({"quant_algo": "FP8", "quant_method": "modelopt"}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
    ],
)
def test_linear_layers_are_packed_and_tables_are_not(quantisation: dict[str, Any], of_matrix: float) -> None:
    found = told(**quantisation)
    assert bits(found, Part.QUERY) == bits(found, Part.EXPERT_UP) == pytest.approx(of_matrix)
    assert bits(found, Part.EMBEDDING) == bits(found, Part.HEAD) == bits(found, Part.ROUTER) == 16


def test_experts_alone_are_packed_in_mxfp4() -> None:
    found = told(quant_method="mxfp4")
    assert (bits(found, Part.EXPERT_UP), bits(found, Part.QUERY)) == (4.25, 16)


GROUP = {
    "weights": {"num_bits": 4, "group_size": 32, "type": "int", "symmetric": True},
    "targets": ["Linear"],
}


def test_what_is_left_out_stays_in_16_bits() -> None:
    ignored = [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        "model.language_model.layers.3.mlp.down_proj",
    ]
    found = told(quant_method="compressed-tensors", config_groups={"group_0": GROUP}, ignore=ignored)
    assert bits(found, Part.EXPERT_UP) == 4.5
    assert bits(found, Part.QUERY) == bits(found, Part.LATENT) == bits(found, Part.SHARED_UP) == 16
    assert (bits(found, Part.DOWN, layer=3), bits(found, Part.DOWN, layer=4)) == (16, 4.5)


def test_modules_are_left_out_by_globs_and_by_their_ends() -> None:
    found = told(quant_algo="NVFP4", quant_method="modelopt", exclude_modules=["*.self_attn*", "lm_head"])
    assert (bits(found, Part.OUTPUT), bits(found, Part.UP)) == (16, 4.5)
    found = told(quant_method="awq", bits=4, group_size=128, modules_to_not_convert=["self_attn", "mlp.gate"])
    assert (bits(found, Part.KEY), bits(found, Part.UP)) == (16, pytest.approx(4 + 20 / 128))


def test_groups_with_targets_of_their_own() -> None:
    eight = {"weights": {"num_bits": 8, "type": "float"}, "targets": ["re:.*self_attn.*"]}
    found = told(quant_method="compressed-tensors", config_groups={"a": GROUP, "b": eight})
    assert (bits(found, Part.QUERY), bits(found, Part.UP)) == (8, 4.5)


def test_what_is_not_known_is_counted_in_full_and_said() -> None:
    found = told(quant_method="new")
    assert bits(found, Part.QUERY) == 16
    assert "new" in found.doubts[0]


def test_rows_that_do_not_divide_take_a_larger_form() -> None:
    """gpt-oss has rows of 2,880 numbers."""
    assert bits(quantisation_named("q4_k_m"), Part.QUERY, inputs=2880) == 5.5
    assert bits(quantisation_named("4bit"), Part.QUERY, inputs=48) == 16


def test_llama_cpp_keeps_important_layers_and_the_head_in_more_bits() -> None:
    found = quantisation_named("q4_k_m")
    downs = [bits(found, Part.DOWN, layer) for layer in range(LAYERS)]
    assert downs == pytest.approx([6.5625, 4.5, 4.5, 6.5625, 4.5, 4.5, 6.5625, 6.5625])
    assert (bits(found, Part.HEAD), bits(found, Part.EMBEDDING), bits(found, Part.VECTOR)) == (
        6.5625,
        4.5,
        32,
    )


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidField, match="q4_k_m"):
        quantisation_named("q9")


def test_an_expression_that_is_none_is_named() -> None:
    told = {"num_hidden_layers": 2, "quantization_config": {"quant_method": "fp8", "ignore": ["re:("]}}
    with pytest.raises(InvalidField, match=r"quantization_config: names modules by 're:\('"):
        quantisation_of_config(told)
