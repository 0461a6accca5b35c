"""Children of a replica: kept last words, certain ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster.deployments.child import spawn
from cluster.deployments.gang import LocalHost, RankCommand

IMMORTAL = (
    "import signal, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "while True: signal.pause()\n"
)


async def test_the_last_lines_are_kept_when_it_fails() -> None:
    script = "import sys\nfor n in range(80): print('line', n)\nsys.exit('out of memory')"
    child = await spawn([sys.executable, "-c", script])
    assert await child.wait() == 1
    lines = child.tail.splitlines()
    assert len(lines) == 50
    assert lines[-2:] == ["line 79", "out of memory"]


async def test_a_line_without_end_is_cut_and_does_not_stop_the_reader() -> None:
    script = "import sys\nsys.stdout.write('x' * 1_000_000)\nprint()\nprint('after')"
    child = await spawn([sys.executable, "-c", script])
    assert await child.wait() == 0
    assert child.tail.splitlines()[-1] == "after"
    assert len(child.tail) < 10_000


async def test_a_child_that_ignores_terminate_is_killed_after_its_grace() -> None:
    up = asyncio.Event()
    child = await spawn([sys.executable, "-c", IMMORTAL], on_line=lambda _: up.set())
    await asyncio.wait_for(up.wait(), 20)
    assert await child.stop(grace_s=0.05) == -signal.SIGKILL
    assert await child.stop() == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


PARENT_OF_A_SLOW_ONE = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; print(\"up\", flush=True); time.sleep(2)'])\n"
    "time.sleep(60)\n"
)


async def test_a_stop_waits_for_what_the_child_has_started_and_may_come_twice() -> None:
    up = asyncio.Event()
    child = await spawn([sys.executable, "-c", PARENT_OF_A_SLOW_ONE], on_line=lambda _: up.set())
    await asyncio.wait_for(up.wait(), 20)
    (slow,) = psutil.Process(child.pid).children()
    assert await child.stop() == -signal.SIGTERM
    psutil.wait_procs([slow], timeout=0.3)  # its files are closed just before it is gone
    assert not slow.is_running() or slow.status() == psutil.STATUS_ZOMBIE
    assert await child.stop() == -signal.SIGTERM


async def test_a_host_that_is_closed_while_a_rank_starts_ends_that_too() -> None:
    host = LocalHost()
    starting = asyncio.create_task(host.start(RankCommand((sys.executable, "-c", IMMORTAL))))
    await asyncio.sleep(0)
    await host.close()
    rank = await starting
    assert await asyncio.wait_for(rank.wait(), 5) < 0


async def test_env_is_added_and_a_missing_program_is_an_error() -> None:
    child = await spawn(
        [sys.executable, "-c", "import os; print(os.environ['HEARTH_X'], os.environ['PATH'])"],
        {"HEARTH_X": "1"},
    )
    assert await child.wait() == 0
    assert child.tail == f"1 {os.environ['PATH']}"
    with pytest.raises(FileNotFoundError):
        await spawn(["/nonexistent/engine"])


PARENT = """
import asyncio, sys
from cluster.deployments.child import spawn
CHILD = '''
from cluster.deployments.child import follow_parent
import signal
follow_parent(poll_s=0.05)
print('following', flush=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: signal.pause()
'''
async def main():
    up = asyncio.Event()
    child = await spawn([sys.executable, "-c", CHILD], on_line=lambda _: up.set())
    await up.wait()
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


def test_a_child_dies_with_a_parent_that_was_killed(repository: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=repository, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
