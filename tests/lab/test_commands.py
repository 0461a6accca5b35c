"""`make lab` and `make lab-shell`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.__main__ import size_bytes
from tests.lab.hosts import ROOT
from tests.lab.tools import LabError

NAME = f"shown-by-{os.getpid()}"
NOBODY = ["setpriv", "--reuid", "65534", "--clear-groups"]


def make(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def lab(*words: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    command = [*before, sys.executable, "-m", "tests.lab", "--name", NAME, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def shown() -> Iterator[list[str]]:
    """A lab of two hosts that a person started with `make lab`; what that printed."""
    command = ["make", "--no-print-directory", "lab", "HOSTS=a b=8G", "MEMORY=512M", f"LAB={NAME}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0) as popen:
        assert popen.stdout is not None
        lines = []
        for line in popen.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        try:
            yield lines
        finally:
            os.killpg(popen.pid, signal.SIGINT)
        assert "All hosts are gone.\n" in popen.stdout.readlines()


@pytest.mark.needs_root
def test_a_lab_shows_its_hosts_and_what_one_can_do(shown: list[str]) -> None:
    table = shown[shown.index("host  address    memory\n") :][:3]
    assert [line.split() for line in table[1:]] == [
        ["a", "10.77.0.1", "0.5", "GiB"],
        ["b", "10.77.0.2", "8", "GiB"],
    ]
    assert any("make lab-shell HOST=a" in line for line in shown)
    assert lab("list").stdout == "".join(table)


@pytest.mark.needs_root
@pytest.mark.usefixtures("shown")
def test_a_shell_inside_a_host_and_one_command() -> None:
    done = make("lab-shell", "HOST=b", f"LAB={NAME}", 'CMD=hostname; echo "$HEARTH_MODELS_BYTES $0"')
    assert done.stdout == f"b\n{8 << 30} bash\n"
    assert lab("shell", "b", "-c", "exit 3").returncode == 3
    assert make("lab-shell", "HOST=b", f"LAB={NAME}", "CMD=exit 3").returncode != 0


@pytest.mark.needs_root
@pytest.mark.usefixtures("shown")
def test_a_cable_is_pulled_and_put_back() -> None:
    def carrier() -> str:
        return lab("shell", "b", "-c", "ip -json link show eth0").stdout

    assert "NO-CARRIER" not in carrier()
    assert lab("cut", "b").returncode == 0
    assert "NO-CARRIER" in carrier()
    assert lab("join", "b").returncode == 0
    assert "NO-CARRIER" not in carrier()


@pytest.mark.needs_root
@pytest.mark.usefixtures("shown")
def test_what_cannot_be_is_said_in_one_line() -> None:
    wrong = {
        ("shell", "c"): "No host is called 'c': there are a, b.\n",
        ("up",): f"A lab of the name {NAME!r} runs already: end it, or give this one another --name.\n",
        (
            "up",
            "x=lots",
        ): f"A lab of the name {NAME!r} runs already: end it, or give this one another --name.\n",
        ("--name", "none", "shell", "a"): "No lab runs: start one with `make lab`.\n",
        ("--name", "none", "up", "a=lots"): "'lots' is no memory size: write it like 8G or 512M.\n",
    }
    for words, line in wrong.items():
        done = lab(*words)
        assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.needs_root
def test_without_root_it_says_so() -> None:
    done = lab("up", before=("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"))
    assert done.returncode == 2
    assert done.stderr.startswith("This root may not make namespaces (")
    assert done.stderr.count("\n") == 1
    done = lab("up", before=("unshare", "--user", "--map-user=1000"))
    assert done.returncode == 2
    assert done.stderr == "A lab makes namespaces and interfaces, which takes root: run it with sudo.\n"


def test_help_shows_examples() -> None:
    assert "python -m tests.lab shell a -c" in lab("--help").stdout


def test_sizes_are_read_as_people_write_them() -> None:
    assert [size_bytes(words) for words in ("512M", "8G", "1.5GiB", "7")] == [512 << 20, 8 << 30, 3 << 29, 7]
    with pytest.raises(LabError, match="8G"):
        size_bytes("-1G")
