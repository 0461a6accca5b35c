"""`make lab` and `make lab-shell`: a lab for people."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence

from tests.lab.hosts import Host, running
from tests.lab.lab import MEMORY_BYTES, HostWish, Lab
from tests.lab.tools import LabError, demand

EXAMPLES = """\
  python -m tests.lab up                   two hosts, a and b, until Ctrl-C
  python -m tests.lab up mac=16G rig=24G   others, each told its memory
  python -m tests.lab shell a              a shell inside a
  python -m tests.lab shell a -c 'ip address'
  python -m tests.lab cut b                pull the cable of b; `join b` puts it back
  python -m tests.lab list                 the hosts that run now
"""
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 where a lab cannot be, that of the command for `shell -c`."""
    options = _parser().parse_args(argv)
    try:
        demand()
        if options.do == "up":
            return up(options.hosts, options.memory, options.name)
        hosts = running(options.name)
        if not hosts:
            raise LabError("No lab runs: start one with `make lab`.")
        match options.do:
            case "shell":
                return shell(named(hosts, options.host), options.command)
            case "cut":
                named(hosts, options.host).cut()
            case "join":
                named(hosts, options.host).join()
            case _:
                print(table(hosts))
        return 0
    except LabError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description="Several hosts on one machine, to try a home on.  Linux, as root.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", default="lab", help="another lab beside the one of `make lab`")
    actions = parser.add_subparsers(dest="do", required=True)
    starting = actions.add_parser("up", help="start a lab and stay until Ctrl-C")
    starting.add_argument("hosts", nargs="*", metavar="HOST[=MEMORY]", help="default: a b")
    starting.add_argument("--memory", default=f"{MEMORY_BYTES >> 30}G", help="of hosts without their own")
    entering = actions.add_parser("shell", help="a shell inside a host")
    cutting = actions.add_parser("cut", help="pull a host's cable")
    joining = actions.add_parser("join", help="put it back")
    for parser_of_host in (entering, cutting, joining):
        parser_of_host.add_argument("host")
    entering.add_argument("-c", "--command", help="run this and return its exit status")
    actions.add_parser("list", help="the hosts that run now")
    return parser


def up(hosts: Sequence[str], memory: str, name: str) -> int:
    if running(name):
        raise LabError(f"A lab of the name {name!r} runs already: end it, or give this one another --name.")
    with Lab([wish(each, memory) for each in hosts or ("a", "b")], name=name) as lab:
        print(table(list(lab)), help_of(list(lab)), sep="\n", flush=True)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            print("\nAll hosts are gone.")
    return 0


def wish(words: str, memory: str) -> HostWish:
    """`a` or `a=8G`."""
    name, _, own = words.partition("=")
    return HostWish(name, size_bytes(own or memory))


def size_bytes(words: str) -> int:
    match = SIZE.fullmatch(words)
    if match is None:
        raise LabError(f"{words!r} is no memory size: write it like 8G or 512M.")
    return int(float(match[1]) * (1 << UNITS[match[2].upper()]))


def named(hosts: Sequence[Host], name: str) -> Host:
    for host in hosts:
        if host.name == name:
            return host
    raise LabError(f"No host is called {name!r}: there are {', '.join(host.name for host in hosts)}.")


def shell(host: Host, command: str | None) -> int:
    argv = host.argv("bash", "--norc", *(("-c", command) if command else ()))
    os.execvp(argv[0], argv)


def table(hosts: Sequence[Host]) -> str:
    rows = [("host", "address", "memory"), *map(_row, hosts)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _row(host: Host) -> tuple[str, str, str]:
    return host.name, host.address, f"{host.settings.memory_bytes / 2**30:.3g} GiB"


def help_of(hosts: Sequence[Host]) -> str:
    first, last = hosts[0], hosts[-1]
    return f"""
Each has its own network, processes, /tmp, /dev/shm and home; the repository is the same for all.
  make lab-shell HOST={first.name}                     a shell inside it
  make lab-shell HOST={first.name} CMD="getent hosts {last.name}"
  python -m tests.lab list                  this table again
Ctrl-C ends them all and leaves nothing behind.
"""


if __name__ == "__main__":
    sys.exit(main())
