"""Process 1 of a lab (`init.py lab NAME OWNER`) and of each of its hosts (`init.py host HOST SETTINGS`).

It runs by path and needs nothing beyond the standard library.  Its end is the end of everything in its
namespaces: the kernel kills their processes and removes their interfaces and mounts.
"""

import ctypes
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

MS_BIND, MS_REC, MS_NOSUID, MS_NODEV = 4096, 16384, 2, 4
READY = "ready"


def main(argv: Sequence[str]) -> None:
    if argv[0] == "host":
        settings = json.loads(argv[2])
        make_private(settings["private"], settings["kept"])
        name_hosts(argv[1], settings["hosts"])
    else:
        # A router that knows no way out says so at once; without it every attempt would wait.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then reaps what is orphaned here
    print(READY, flush=True)
    # Whoever holds the other end of stdin is whom this lives for: it ends however its owner ends.
    while os.read(0, 4096):
        pass


def make_private(private: Sequence[str], kept: Sequence[str]) -> None:
    """Puts an empty folder in memory over each of `private`, and what is `kept` back in its place."""
    handles = {path: os.open(path, os.O_PATH) for path in kept}
    for folder in private:
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode:o}")
    for path, handle in handles.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handle}", path, None, MS_BIND | MS_REC)
        os.close(handle)


def name_hosts(own: str, addresses: dict[str, str]) -> None:
    """Lets programs find this host and the others by name; no other name leads anywhere."""
    socket.sethostname(own)
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
    replace("/etc/hosts", "\n".join(lines) + "\n")
    replace("/etc/resolv.conf", "")


def replace(path: str, text: str) -> None:
    """Shows `text` at `path` in this mount namespace; the file itself stays as it is."""
    copy = Path("/tmp") / f"hearth-{Path(path).name}"
    copy.write_text(text)
    mount(str(copy), os.path.realpath(path), None, MS_BIND)
    copy.unlink()


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2); the program of that name would resolve the handle of a hidden folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    kind_bytes = None if kind is None else kind.encode()
    if libc.mount(source.encode(), target.encode(), kind_bytes, ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


if __name__ == "__main__":
    main(sys.argv[1:])
