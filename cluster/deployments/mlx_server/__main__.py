"""`python -m cluster.deployments.mlx_server SETTINGS`: one rank, until its parent ends it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cluster.deployments.child import follow_parent
from cluster.deployments.mlx_server.faults import give_up
from cluster.deployments.mlx_server.settings import SECRET_ENV, RankSettings

NEEDED = ("mlx", "mlx_lm", "llguidance")


def main() -> None:
    follow_parent()
    settings = RankSettings.from_argument(sys.argv[1])
    secret = os.environ.pop(SECRET_ENV, "")
    _check(settings)
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
    folder = Path(settings.model).expanduser()
    if not (folder / "config.json").is_file():
        give_up(
            f"There is no model in {folder} (no config.json).",
            "Put the folder with its safetensors on every node that runs a part of it.",
        )


if __name__ == "__main__":
    main()
