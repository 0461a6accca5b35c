"""The processes of one gang, as the machine lists them: all that its replica has started."""

import time
from itertools import pairwise

import psutil

from bench.harness.pool import Pool

POLL_S = 0.02


def replica_of(pool: Pool, model: str) -> psutil.Process:
    """The replica's own process.  Raises RuntimeError where there is none."""
    for role, found in pool.processes().items():
        if role == f"front of {model}":
            return found[0]
    raise RuntimeError(f"no replica of {model} runs")


def ranks_of(pool: Pool, model: str) -> list[psutil.Process]:
    """What the replica started, by age: ranks, and what they started in turn."""
    found = replica_of(pool, model).children(recursive=True)
    return sorted((one for one in found if one.is_running()), key=lambda one: (one.create_time(), one.pid))


def name_of(process: psutil.Process) -> str:
    """What a process is to the gang: the program it runs, and its place among the words that follow."""
    words = process.cmdline() or [process.name()]
    modules = [after for word, after in pairwise(words) if word == "-m"]
    return modules[0] if modules else words[0].rpartition("/")[2]


def left_over(killed: list[psutil.Process], within_s: float) -> list[str]:
    """Those of the old gang that live on after `within_s`."""
    end = time.monotonic() + within_s
    alive = [one for one in killed if _lives(one)]
    while alive and time.monotonic() < end:
        time.sleep(POLL_S)
        alive = [one for one in alive if _lives(one)]
    return [f"{name_of(one)} ({one.pid})" for one in alive]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
