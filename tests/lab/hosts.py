"""One host of a lab: commands inside it, its files, its link, its end.

Everything is addressed by the process 1 of the host, so any process of root's may hold a `Host`, not only
the one that made the lab.
"""

import ctypes
import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.lab.processes import Found, child_of, inits, kill, members, namespace
from tests.lab.tools import LabError, checked

ROOT = Path(__file__).parents[2]
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
PROGRAM_PATH = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RUN_S = 60.0
HOME = pwd.getpwuid(os.geteuid()).pw_dir
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Settings:
    """What a host is told.  `memory_bytes`: what its engines may hold; nothing enforces it.

    `hosts`: all names and addresses of its lab.  `private`: folders of its own, empty at first.  `kept`:
    those of this machine that it sees all the same.
    """

    lab: str
    address: str
    memory_bytes: int
    hosts: Mapping[str, str]
    labels: Mapping[str, str]
    private: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass
class Inside:
    """A command that runs in a host.  `pid` is its number on this machine, not the one it has there."""

    popen: "subprocess.Popen[bytes]"
    pid: int

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self, grace_s: float = 5.0) -> int:
        """Terminates it, kills it after `grace_s`.  Returns its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.popen.wait(grace_s)


@dataclass(frozen=True)
class Host:
    """`pid`: that of its process 1.  `port`: its end of the link at the lab's switch."""

    name: str
    pid: int
    switch_pid: int
    settings: Settings
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def address(self) -> str:
        return self.settings.address

    @property
    def port(self) -> str:
        return f"to-{self.name}"

    def argv(self, *command: str, env: Mapping[str, str] | None = None) -> list[str]:
        """What runs `command` in this host, in the repository's folder and with the host's environment.

        It dies with the process that runs it, and with the host.
        """
        whole = {**self.environment, **self.env, **(env or {})}
        enter = ["nsenter", f"--target={self.pid}", *NAMESPACES, "env", "-i", "-C", str(ROOT)]
        named = [f"{name}={value}" for name, value in whole.items()]
        return [*enter, *named, "setpriv", "--pdeathsig", "KILL", *command]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": PROGRAM_PATH,
            "HOME": HOME,
            "USER": "root",
            "LANG": "C.UTF-8",
            "TERM": os.environ.get("TERM", "dumb"),
            "PS1": rf"{self.name} \w # ",
            "HEARTH_MODELS_BYTES": str(self.settings.memory_bytes),
        }

    def run(
        self,
        *command: str,
        timeout_s: float = RUN_S,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs it to its end.  Raises LabError with its last words unless it succeeds or `check` is false."""
        whole = self.argv(*command, env=env)
        done = subprocess.run(
            whole, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
        if check and done.returncode:
            words = (done.stderr or done.stdout).strip()[-2000:]
            raise LabError(f"{self.name}: {command[0]} ended with status {done.returncode}: {words}")
        return done

    def start(
        self, *command: str, env: Mapping[str, str] | None = None, output: IO[Any] | int = subprocess.DEVNULL
    ) -> Inside:
        """Starts it and goes on; `output` takes stdout and stderr."""
        popen = subprocess.Popen(
            self.argv(*command, env=env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Inside(popen, child_of(popen.pid))

    def path(self, inside: str) -> Path:
        """Where this machine sees the host's file or folder `inside`, an absolute path."""
        return Path(f"/proc/{self.pid}/root{inside}")

    @contextmanager
    def network(self) -> Generator[None]:
        """The calling thread, and what it starts, has the host's network: its sockets open there."""
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def pids(self) -> list[int]:
        """Its processes without its process 1, by their numbers on this machine."""
        return [pid for pid in members("pid", namespace(self.pid, "pid")) if pid != self.pid]

    def pid_of(self, name: str) -> int:
        """The first process of this name, which Linux cuts after 15 characters.  Raises LookupError."""
        for pid in self.pids():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                    return pid
        raise LookupError(f"{self.name} runs no {name}")

    def end_all(self) -> None:
        """Kills whatever runs in it; its files stay."""
        while pids := self.pids():
            for pid in pids:
                kill(pid)

    def cut(self) -> None:
        """Pulls its cable: what is sent either way is lost, without a word to either side."""
        self._switch("ip", "link", "set", self.port, "down")

    def join(self) -> None:
        """Puts the cable back."""
        self._switch("ip", "link", "set", self.port, "up")

    def delay(self, delay_s: float) -> None:
        """Everything sent to it arrives this much later; 0: at once.  Raises LabError without netem."""
        if delay_s:
            rule = ("root", "netem", "delay", f"{delay_s * 1000:.0f}ms")
            self._switch("tc", "qdisc", "replace", "dev", self.port, *rule)
        else:
            self._switch("tc", "qdisc", "replace", "dev", self.port, "root", "noqueue")

    def forget_link(self) -> None:
        """Takes its cable off the switch; the kernel takes its time to do so after a `kill`."""
        with suppress(LabError):
            self._switch("ip", "link", "delete", self.port)

    def _switch(self, *command: str) -> None:
        checked("nsenter", f"--target={self.switch_pid}", "--net", *command)

    def kill(self) -> None:
        """Cuts its power: all its processes are gone when this returns."""
        kill(self.pid)


def _enter(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def running(lab: str) -> list[Host]:
    """The hosts of the lab of this name, whoever owns it."""
    switches = {each.words[0]: each.pid for each in inits("lab")}
    return [host for each in inits("host") if (host := _host_of(each, switches)).settings.lab == lab]


def _host_of(found: Found, switches: Mapping[str, int]) -> Host:
    name, settings = found.words[0], Settings(**json.loads(found.words[1]))
    return Host(name, found.pid, switches.get(settings.lab, found.pid), settings)


def kept_under(private: Sequence[str], wanted: Sequence[Path]) -> tuple[str, ...]:
    """Those of the folders `wanted` that `private` ones would hide, outermost only."""
    paths = sorted({path for each in wanted for path in (each.absolute(), each.resolve()) if path.exists()})
    hidden = [path for path in paths if any(path.is_relative_to(folder) for folder in private)]
    return tuple(
        str(path)
        for path in hidden
        if not any(path.is_relative_to(other) for other in hidden if other != path)
    )
