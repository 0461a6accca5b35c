"""The models that all engines are compared on: the same weights in both forms, made again byte for byte."""

import json
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from cluster.models import checkpoint, tiny
from cluster.models.tiny import Shape
from tests.support import checkpoints


def read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())


@pytest.fixture(params=["random", "trained", "pipeline", "embedding"])
def folder(request: pytest.FixtureRequest) -> Path:
    return getattr(checkpoints, f"{request.param}_hf")()


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    began = time.perf_counter()
    made = [tiny.write(tmp_path / f"{n}.gguf", Shape(template="reciting", seed=n // 2)) for n in (0, 1, 2)]
    folders = [checkpoint.write_hugging_face(path.with_suffix(""), checkpoint.read(path)) for path in made]
    assert time.perf_counter() - began < 2 * len(made)
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert made[0].read_bytes() == made[1].read_bytes() != made[2].read_bytes()
    assert weights[0] == weights[1] != weights[2]


def test_a_folder_says_what_every_engine_reads(folder: Path) -> None:
    config, generation = read(folder, "config.json"), read(folder, "generation_config.json")
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"], "engines read either"
    tokens = read(folder, "tokenizer.json")
    special = {token["content"]: token["id"] for token in tokens["added_tokens"] if token["special"]}
    assert {special["<|im_end|>"], special["<|endoftext|>"]} == set(generation["eos_token_id"])
    assert generation["eos_token_id"] == config["eos_token_id"]
    assert len(tokens["model"]["vocab"]) == config["vocab_size"]
    assert config["dtype"] == "float32"


def test_two_ranks_can_share_it(folder: Path) -> None:
    config = read(folder, "config.json")
    for name in ("num_attention_heads", "num_key_value_heads", "intermediate_size", "num_hidden_layers"):
        assert config[name] > 1, name
    for name in ("num_attention_heads", "num_key_value_heads", "intermediate_size"):
        assert config[name] % 2 == 0, name


def test_quantised_weights_are_not_taken_for_exact(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "q8.gguf", "llama")
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(
        "output.weight", gguf.quants.quantize(np.ones((4, 32), np.float32), kind), raw_dtype=kind
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match="Q8_0"):
        checkpoint.read(tmp_path / "q8.gguf")
