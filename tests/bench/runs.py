"""A bench as people run it, and its report made again."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN_S, END_S = 190.0, 40.0


def figures(repository: Path, events: Path, bench: str, *options: str) -> dict[str, Any]:
    """Runs the bench, and has its report made again from the raw events."""
    argv = [sys.executable, "-m", f"bench.{bench}", "--json"]
    more = [["--quick", "--out", str(events), *options], ["--report", str(events)]]
    measured, again = (json.loads(_output([*argv, *each], repository)) for each in more)
    assert measured == again
    return measured


def _output(argv: list[str], repository: Path) -> str:
    """What it prints.  One that takes too long is ended as by Ctrl-C: it then ends its pool too."""
    with subprocess.Popen(
        argv, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        try:
            printed, said = bench.communicate(timeout=RUN_S)
        except subprocess.TimeoutExpired:
            bench.send_signal(signal.SIGINT)
            _, said = bench.communicate(timeout=END_S)
            pytest.fail(f"it took longer than {RUN_S:.0f} s: {said}")
    assert bench.returncode == 0, said
    return printed
