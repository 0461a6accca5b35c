"""The commands without a pool: help, version, and words instead of tracebacks."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.pool.paths import PoolPaths
from cluster.pool.state import PoolState, Stage, write_state
from tests.cli.hearth import Hearth

COMMANDS = ("up", "down", "status", "models", "load", "unload", "chat", "logs", "doctor", "plan", "simulate")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert f"Example: hearth {command}" in done.stdout
    assert "--json" in done.stdout


def test_help_lists_the_commands() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert all(command in text for command in COMMANDS)


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("hearth 0.")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, cluster.cli;"
        "print([name for name in ('ray', 'xllamacpp', 'httpx', 'pydantic', 'grpc', 'gguf', 'psutil')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["status", "chat", "models", "load m", "unload m"])
def test_without_a_pool_the_remedy_is_said(hearth: Hearth, command: str) -> None:
    done = hearth.run(*command.split())
    assert done.returncode == 3
    assert "hearth up" in done.stderr
    assert done.stdout == ""


def test_json_says_errors_too(hearth: Hearth) -> None:
    assert "hearth up" in hearth.json("status")["error"]["remedy"]


def test_down_without_a_pool_is_done_at_once_and_makes_no_home(hearth: Hearth) -> None:
    done = hearth.run("down")
    assert (done.returncode, done.stdout) == (0, "No pool was running.\n")
    assert not hearth.home.exists()


def test_logs_without_a_run(hearth: Hearth) -> None:
    assert "hearth up" in hearth.run("logs").stdout
    assert hearth.run("logs", "gateway").returncode == 2


def test_logs_by_part_of_their_name(hearth: Hearth) -> None:
    log = hearth.home / "logs/supervisor.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\nsecond\n")
    assert hearth.run("logs", "super").stdout == "first\nsecond\n"
    assert hearth.json("logs", "super")["lines"] == ["first", "second"]
    assert hearth.json("logs")["logs"][0]["name"] == "supervisor"


def test_logs_follow_what_is_written(hearth: Hearth) -> None:
    log = hearth.home / "logs/supervisor.log"
    log.parent.mkdir(parents=True)
    log.write_text("old\n")
    with hearth.popen("logs", "--follow") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "old\n"
        with log.open("a") as file:
            file.write("new\n")
        assert following.stdout.readline() == "new\n"
        following.terminate()


def test_a_doctor_without_a_pool_looks_at_what_a_start_needs(hearth: Hearth) -> None:
    checks = {check["name"]: check for check in hearth.json("doctor")["checks"]}
    assert checks["Pool"]["remedy"] == "Start one: hearth up"
    assert {"Python", "Memory", "Disk", "Engine", "GPU", "Port 8420", "Port 8421"} <= checks.keys()


def test_a_pool_that_ended_by_itself_is_remembered(hearth: Hearth) -> None:
    file = PoolPaths(hearth.home).state
    file.parent.mkdir(parents=True)
    gone = PoolState(2**22, 1.0, 1.0, Stage.FAILED, 1, 2, problem="raylet of Ray has ended")
    write_state(file, gone)
    done = hearth.run("status")
    assert (done.returncode, "raylet of Ray has ended" in done.stderr) == (3, True)
