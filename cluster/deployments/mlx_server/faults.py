"""How a rank says why it cannot start, in a form that its adapter can read."""

import json
import sys
from typing import NoReturn

from cluster.deployments.mlx_server.settings import FAULT


def give_up(problem: str, remedy: str) -> NoReturn:
    """Ends this process with the fault as its last words."""
    print(FAULT + json.dumps([problem, remedy]), file=sys.stderr, flush=True)
    sys.exit(3)


def read(tail: str) -> tuple[str, str] | None:
    """The fault among a rank's last lines; None: it ended without saying why."""
    for line in reversed(tail.splitlines()):
        if line.startswith(FAULT):
            problem, remedy = json.loads(line.removeprefix(FAULT))
            return problem, remedy
    return None
