"""What a lab needs of this machine, and what it runs with it."""

import os
import shutil
import subprocess
import sys

PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
COMMAND_S = 20.0


class LabError(Exception):
    """One line: what is wrong and what to do about it."""


def demand() -> None:
    """Raises LabError where this machine cannot hold a lab."""
    if sys.platform != "linux":
        raise LabError("A lab is made of Linux namespaces: run it on Linux.")
    if os.geteuid() != 0:
        raise LabError("A lab makes namespaces and interfaces, which takes root: run it with sudo.")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise LabError(f"A lab needs the program {program}: install {package}.")
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
    )
    if tried.returncode:
        words = tried.stderr.strip().removeprefix("unshare: ")
        raise LabError(f"This root may not make namespaces ({words}): give the container CAP_SYS_ADMIN.")


def checked(*argv: str) -> str:
    """Runs a short command; its stdout.  Raises LabError with its words."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or f'status {done.returncode}'}")
    return done.stdout
