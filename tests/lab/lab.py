"""A lab: hosts on a switch of their own, all gone with the process that made them.

    this process ── stdin of ── process 1 of the lab      PID, mount and network namespace; the switch
                                  ├── process 1 of host a   PID, mount, UTS, IPC and network namespace
                                  └── process 1 of host b   the same; a cable to the switch

Namespaces have no names, so nothing can outlive its processes, and those of the hosts live inside the
lab's PID namespace: with its process 1, which ends when this process does, the kernel ends them all.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.lab.hosts import HOME, ROOT, Host, Settings, kept_under
from tests.lab.init import READY
from tests.lab.processes import INIT, child_of, inits, kill
from tests.lab.tools import LabError, checked, demand

NETWORK = "10.77.0"
ROUTER = f"{NETWORK}.254"
"""Where hosts send what is for no other host, as programs expect; it leads nowhere."""

MAX_NUM_HOSTS = 200
MAX_NAME_CHARS = 12
MEMORY_BYTES = 4 * 2**30
PRIVATE = tuple(sorted({"/tmp", "/dev/shm", HOME}))
START_S = 20.0


@dataclass(frozen=True)
class HostWish:
    """A host to be made.  `labels`: beside its name, for Ray."""

    name: str
    memory_bytes: int = MEMORY_BYTES
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Lab:
    """`shared`: folders of this machine that every host sees at their own path, such as one of weights."""

    def __init__(
        self, hosts: Sequence[HostWish | str], *, name: str | None = None, shared: Sequence[Path] = ()
    ) -> None:
        self._wishes = [HostWish(each) if isinstance(each, str) else each for each in hosts]
        self._check_names()
        self.name = name or f"of-{os.getpid()}"
        self._shared = tuple(shared)
        self._hosts: dict[str, Host] = {}
        self._pid = 0
        self._undo = ExitStack()

    def _check_names(self) -> None:
        names = [wish.name for wish in self._wishes]
        if not 1 <= len(names) <= MAX_NUM_HOSTS:
            raise LabError(f"A lab has 1 to {MAX_NUM_HOSTS} hosts, not {len(names)}.")
        for name in names:
            is_word = name.isascii() and name.replace("-", "").isalnum() and not name.startswith("-")
            if not is_word or len(name) > MAX_NAME_CHARS or names.count(name) > 1:
                rule = f"letters, digits and -, at most {MAX_NAME_CHARS}, each name once"
                raise LabError(f"{name!r} cannot name a host: {rule}.")

    def __enter__(self) -> "Lab":
        demand()
        sweep()
        with ExitStack() as undo:
            undo.callback(self.close)
            self._pid = self._start_init(["unshare", *_NEW, "--net"], "lab", self.name, str(os.getpid()))
            self._ip(
                "link add switch type bridge",
                f"address add {ROUTER}/24 dev switch",
                "link set switch up",
                "link set lo up",
            )
            for wish in self._wishes:
                self.boot(wish.name)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all hosts; when it returns, nothing is left.  May be called twice."""
        if self._pid:
            kill(self._pid)
        self._undo.close()
        self._hosts.clear()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def boot(self, name: str) -> Host:
        """Starts a host, for the first time or after its `kill`: with empty folders, at its old address."""
        settings = self._settings(next(wish for wish in self._wishes if wish.name == name))
        enter = ["nsenter", f"--target={self._pid}", "--pid", "--mount", "unshare", *_NEW, *_HOST_NEW]
        pid = self._start_init(enter, "host", name, json.dumps(asdict(settings)), depth=2)
        if name in self._hosts:
            self._hosts[name].forget_link()
        host = self._hosts[name] = Host(name, pid, self._pid, settings)
        self._ip(
            f"link add {host.port} type veth peer name eth0 netns {pid}",
            f"link set {host.port} master switch up",
        )
        _ip(
            pid,
            "link set lo up",
            f"address add {host.address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {ROUTER}",
        )
        return host

    def _settings(self, wish: HostWish) -> Settings:
        addresses = {each.name: f"{NETWORK}.{number}" for number, each in enumerate(self._wishes, 1)}
        seen = [ROOT, Path(sys.prefix), Path(sys.base_prefix), *self._shared]
        return Settings(
            lab=self.name,
            address=addresses[wish.name],
            memory_bytes=wish.memory_bytes,
            hosts=addresses,
            labels=dict(wish.labels),
            private=PRIVATE,
            kept=kept_under(PRIVATE, seen),
        )

    def _start_init(self, enter: Sequence[str], *words: str, depth: int = 1) -> int:
        """Starts a process 1 and waits until it is ready; its pid, `depth` forks below what is started."""
        argv = [*enter, sys.executable, "-IS", str(INIT), *words]
        # In a session of its own a Ctrl-C in the terminal reaches the owner alone.
        pipe = subprocess.PIPE
        init = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        self._undo.callback(_reap, init)
        pid = init.pid
        for _ in range(depth):
            pid = child_of(pid, START_S)
        assert init.stdout is not None
        if init.stdout.readline().decode().strip() != READY:
            raise LabError(f"{' '.join(words[:2])} did not start: {_reap(init).strip()}")
        return pid

    def _ip(self, *lines: str) -> None:
        _ip(self._pid, *lines)


_NEW = ("--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
_HOST_NEW = ("--net", "--uts", "--ipc")


def _ip(pid: int, *lines: str) -> None:
    for line in lines:
        checked("nsenter", f"--target={pid}", "--net", "ip", *line.split())


def _reap(init: "subprocess.Popen[bytes]") -> str:
    """Lets it end, by the end of its stdin; what it wrote to stderr."""
    try:
        return init.communicate(timeout=START_S)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        init.kill()
        return init.communicate()[1].decode(errors="replace")


def sweep() -> int:
    """Ends the labs whose owners are no more; how many there were."""
    stale = [each for each in inits("lab") if not Path(f"/proc/{each.words[1]}").exists()]
    for each in stale:
        kill(each.pid)
    return len(stale)
