"""`python -m cluster.deployments.mlx_server SETTINGS`: one rank, until its parent ends it."""

import os
import sys

from cluster.deployments.child import follow_parent
from cluster.deployments.mlx_server.faults import give_up
from cluster.deployments.mlx_server.settings import SECRET_ENV, RankSettings


def main() -> None:
    follow_parent()
    settings = RankSettings.from_argument(sys.argv[1])
    secret = os.environ.pop(SECRET_ENV, "")
    try:
        from cluster.deployments.mlx_server import rank
    except ImportError as fault:
        give_up(f"MLX is not installed here: {fault}.", "Install it on this node with `make mlx`.")
    rank.run(settings, secret)


if __name__ == "__main__":
    main()
