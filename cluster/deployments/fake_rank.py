"""A rank of the fake engine: a process that says who it is, and lives as long as it is let."""

import signal
import sys

from cluster.deployments.child import follow_parent
from cluster.deployments.gang import RankCommand


def command(number: int, num_ranks: int) -> RankCommand:
    return RankCommand((sys.executable, "-m", "cluster.deployments.fake_rank", str(number), str(num_ranks)))


def main() -> None:
    follow_parent()
    print(f"fake rank {sys.argv[1]} of {sys.argv[2]} lives", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
