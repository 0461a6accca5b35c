"""`python -m cluster.deployments.mlx_server SETTINGS`: one rank, until its parent ends it."""

import json
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from cluster.deployments.child import follow_parent
from cluster.deployments.mlx_server.faults import give_up
from cluster.deployments.mlx_server.settings import SECRET_ENV, RankSettings

NEEDED = ("mlx", "mlx_lm", "llguidance")


def main() -> None:
    follow_parent()
    settings = RankSettings.from_argument(sys.argv[1])
    _check(settings)
    secret = os.environ.pop(SECRET_ENV, "")
    # What reads it reads it once, when it is imported below: from here on no hub is asked.
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Where vLLM is installed as well, transformers would load torch: 250 MB that nothing here needs.
    sys.modules["torch"] = None  # ty: ignore[invalid-assignment] - documented: it cannot be imported then
    try:
        from cluster.deployments.mlx_server import rank
    except ImportError as fault:
        give_up(f"MLX does not load here: {fault}.", "Install it on this node again with `make mlx`.")
    rank.run(settings, secret)


def _check(settings: RankSettings) -> None:
    """What can be said without loading anything."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        give_up(f"MLX is not installed here: no {missing[0]}.", "Install it on this node with `make mlx`.")
    if settings.model.startswith("hf:"):
        _download(settings)
    folder = Path(settings.model).expanduser()
    if not (folder / "config.json").is_file():
        give_up(
            f"There is no model in {folder} (no config.json).",
            "Put the folder with its safetensors on every node that runs a part of it.",
        )
    _check_heads(json.loads((folder / "config.json").read_text()), settings.tensor_parallel)


def _download(settings: RankSettings) -> NoReturn:
    """Begins anew with the folder where the model's files lie now."""
    from cluster.deployments.engine import EngineFault
    from cluster.deployments.hf_files import find_folder

    try:
        folder = find_folder(settings.model, lambda loading: print(loading.stage, flush=True))
    except EngineFault as fault:
        give_up(fault.problem, fault.remedy)
    found = replace(settings, model=str(folder)).to_argument()
    os.execv(sys.executable, [sys.executable, "-m", "cluster.deployments.mlx_server", found])


def _check_heads(config: dict[str, Any], num_parts: int) -> None:
    text = config.get("text_config", config)
    heads = [text[name] for name in ("num_attention_heads", "num_key_value_heads") if text.get(name)]
    if any(num % num_parts for num in heads):
        give_up(
            f"The model's {' and '.join(map(str, heads))} heads do not divide into {num_parts} ranks.",
            "Choose another `tensor_parallel`, or `pipeline_parallel`.",
        )


if __name__ == "__main__":
    main()
