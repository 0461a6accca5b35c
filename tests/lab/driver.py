"""Composes a pool on the Ray that runs, on the host where it is started, until its stdin ends.

python -m tests.lab.driver CONFIG     CONFIG: the file of a HearthConfig as JSON
"""

import logging
import sys
from pathlib import Path

import ray

from actors.app import start_pool
from cluster.config import HearthConfig
from cluster.pool.ray_head import NAMESPACE

RUNNING = "the pool runs"


def main() -> None:
    config = HearthConfig.model_validate_json(Path(sys.argv[1]).read_text())
    ray.init("auto", namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    stop = start_pool(config)
    print(RUNNING, flush=True)
    sys.stdin.read()
    stop()


if __name__ == "__main__":
    main()
