"""A pool as a person meets it: started, used, and ended in every way.  Real Ray, real model."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.inventory.node import node_memory
from cluster.pool.launch import running_pool
from cluster.pool.paths import PoolPaths
from cluster.pool.processes import find_processes, is_loopback, listeners
from cluster.pool.state import PoolState
from tests.cli.hearth import Hearth

pytestmark = pytest.mark.timeout(150)
READY = "Ctrl-C ends it"


def test_first_light(hearth: Hearth) -> None:
    up = hearth.json("up", *hearth.ports, "--no-discover")
    state = _state(hearth)
    try:
        _check_urls_and_models(hearth, up)
        _check_sockets(hearth, state)
        _check_chat(hearth)
        _check_second_up(hearth)
        _check_doctor_and_status(hearth)
    finally:
        down = hearth.run("down")
    assert (down.returncode, down.stdout) == (0, "✓ The pool has stopped.\n")
    _check_nothing_is_left(hearth, state)


def _check_urls_and_models(hearth: Hearth, up: dict[str, Any]) -> None:
    assert up["state"] == "running"
    assert not up["was_running"]
    assert up["urls"]["api"] == f"http://127.0.0.1:{hearth.http_port}/v1"
    (model,) = up["openclaw"]["hearth"]["models"]
    assert model["id"] == "hearth-guide"
    assert model["contextWindow"] == up["models"][0]["context_window"] > 0
    assert model["compat"] == {"supportsPromptCacheKey": True, "sendSessionAffinityHeaders": True}


def _check_sockets(hearth: Hearth, state: PoolState) -> None:
    found = listeners(_processes(hearth, state))
    assert [socket for socket in found if not is_loopback(socket.host)] == []
    assert {hearth.http_port, hearth.grpc_port} <= {socket.port for socket in found}


def _check_chat(hearth: Hearth) -> None:
    answer = hearth.json("chat", "How do I add a model?")
    assert "hearth up --model" in answer["content"]
    assert (answer["locality"], answer["engine"]) == ("local", "llamacpp")
    assert answer["usage"]["completion_tokens"] > 0
    assert hearth.run("chat", "How do I add a model?").stdout.strip() == answer["content"].strip()
    refused = hearth.run("chat", "--model", "nobody", "Hello")
    assert (refused.returncode, "nobody" in refused.stderr) == (1, True)


def _check_second_up(hearth: Hearth) -> None:
    second = hearth.run("up")
    assert second.returncode == 0
    assert "The pool runs already." in second.stdout
    assert f"http://127.0.0.1:{hearth.http_port}/v1" in second.stdout
    with_model = hearth.run("up", "--model", "builtin.gguf")
    assert with_model.returncode == 2
    assert "without builtin.gguf added" in with_model.stderr
    assert re.search(r"hearth down && \S*hearth up --model builtin.gguf", with_model.stderr)


def _check_doctor_and_status(hearth: Hearth) -> None:
    checks = {check["name"]: check for check in hearth.json("doctor")["checks"]}
    assert [name for name, check in checks.items() if check["verdict"] == "fail"] == []
    assert {"Sockets", "Ray token", "Gateway", "Router", "Model hearth-guide"} <= checks.keys()
    view = hearth.json("status")["view"]
    assert [node["memory_bytes"] for node in view["nodes"]] == [node_memory().most_bytes]
    assert view["nodes"][0]["reserve_bytes"] > 0
    assert "hearth-guide" in hearth.run("status").stdout


def test_ctrl_c_ends_a_pool_in_the_foreground(hearth: Hearth) -> None:
    with hearth.popen("up", "--foreground", "--no-discover", *hearth.ports) as up:
        assert up.stdout is not None
        shown = _read_until(up, READY)
        state = _state(hearth)
        up.send_signal(signal.SIGINT)
        rest = up.stdout.read()
    assert up.returncode == 0, shown + rest
    _check_nothing_is_left(hearth, state)


def test_a_supervisor_that_is_killed_is_cleaned_up_after(hearth: Hearth) -> None:
    with hearth.popen("up", *hearth.ports, "--no-discover") as up:
        assert up.stdout is not None
        _read_until(up, "router and the gateway")
        state = _state(hearth)
        os.kill(state.pid, signal.SIGKILL)
        rest = up.stdout.read()
    assert up.returncode == 1
    assert "its supervisor ended" in rest
    _check_nothing_is_left(hearth, state)


def test_ctrl_c_in_a_terminal_leaves_it_with_its_cursor(hearth: Hearth) -> None:
    shown = ""
    with _in_terminal(hearth, "up", *hearth.ports, "--no-discover") as (up, terminal):
        while "starting Ray" not in shown:
            shown += _read(terminal)
        os.write(terminal, b"\x03")
        while more := _read(terminal):
            shown += more
    assert up.returncode == 130, shown
    assert "Nothing is left running" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert running_pool(PoolPaths(hearth.home)) is None
    assert find_processes(PoolPaths(hearth.home).pool_id, None) == []


@contextlib.contextmanager
def _in_terminal(hearth: Hearth, *args: str) -> Generator[tuple["subprocess.Popen[str]", int]]:
    """The command in a terminal of its own, in which Ctrl-C is a key."""
    terminal, inner = pty.openpty()
    with hearth.popen(*args, terminal=inner) as up:
        os.close(inner)
        try:
            yield up, terminal
        finally:
            up.wait(60)
            os.close(terminal)


def _read(terminal: int) -> str:
    """What the terminal shows next; empty at its end."""
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:  # how Linux says that nobody has the other end open
        return ""


def _read_until(up: "subprocess.Popen[str]", words: str) -> str:
    assert up.stdout is not None
    shown = ""
    for line in up.stdout:
        shown += line
        if words in line:
            return shown
    pytest.fail(f"it ended without saying {words!r}:\n{shown}")


def _state(hearth: Hearth) -> PoolState:
    state = running_pool(PoolPaths(hearth.home))
    assert state is not None
    return state


def _processes(hearth: Hearth, state: PoolState) -> list[psutil.Process]:
    return find_processes(PoolPaths(hearth.home).pool_id, state.pid, state.created_s)


def _check_nothing_is_left(hearth: Hearth, state: PoolState) -> None:
    paths = PoolPaths(hearth.home)
    assert _processes(hearth, state) == []
    assert [path for path in _files(hearth.home) if path.is_socket()] == []
    assert not paths.ray.exists()
    assert not paths.token.exists()
    for port in (hearth.http_port, hearth.grpc_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]
