"""`python -m actors`: the pool of this machine, composed and supervised."""

import sys

from cluster.config import HearthConfig
from cluster.pool.supervisor import StopPool, supervise


def start(config: HearthConfig) -> StopPool:
    from actors.app import start_pool  # imports Ray, which a supervisor that is told to end may never need

    return start_pool(config)


if __name__ == "__main__":
    sys.exit(supervise(start))
