"""One process of a vLLM gang: vLLM's own server, or a follower of it, and nothing else.

vLLM spawns its engine core and its workers by `multiprocessing`, which imports this module anew in each of
them, as `__mp_main__`: so each dies with the process that spawned it, and with each that it spawned itself.
"""

import itertools
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping, Sequence
from multiprocessing.process import BaseProcess
from typing import NoReturn

import psutil

from cluster.config import home
from cluster.deployments.child import PARENT_ENV, follow_parent

OFFLINE_ENV = "HF_HUB_OFFLINE"
NUM_RANKS_ENV = "HEARTH_NUM_RANKS"
"""How many ranks share this node's cores; unset where they compute on cards."""

LOOK_S = 0.2


def main(arguments: Sequence[str]) -> None:
    """`arguments`: those of vLLM's command line, with the model's source, which is found on this node."""
    _join_the_line()
    if os.environ.get(OFFLINE_ENV) != "1":
        _go_offline(arguments)
    _prepare(os.environ, _addresses())
    meeting = _open_meeting(arguments) if "--master-addr" in arguments else None
    _serve(arguments)
    del meeting


def _serve(arguments: Sequence[str]) -> None:
    """`vllm serve`, whose own program asks for a distribution that the CPU build does not have."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    cli_env_setup()
    serve, parser = ServeSubcommand(), FlexibleArgumentParser()
    serve.subparser_init(parser.add_subparsers(dest="subparser"))
    parsed = parser.parse_args([serve.name, *arguments])
    serve.validate(parsed)
    serve.cmd(parsed)


def _go_offline(arguments: Sequence[str]) -> NoReturn:
    """Begins anew with the model's folder: what reads the variable reads it once, when it is imported."""
    from cluster.deployments.hf_files import find_folder

    at = arguments.index("--model") + 1
    folder = find_folder(arguments[at], lambda loading: print(loading.stage, flush=True))
    replaced = [*arguments[:at], str(folder), *arguments[at + 1 :]]
    command = [sys.executable, "-m", "cluster.deployments.vllm_rank", *replaced]
    os.execve(sys.executable, command, {**os.environ, PARENT_ENV: str(os.getppid()), OFFLINE_ENV: "1"})


def _open_meeting(arguments: Sequence[str]) -> object:
    """The store where ranks of several nodes meet; keep it.  A worker's own would listen on all addresses."""
    from torch.distributed import TCPStore

    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = str(True)
    if "--headless" in arguments:
        return None
    options = dict(itertools.pairwise(arguments))
    address, port = options["--master-addr"], int(options["--master-port"])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family)
    return TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())


def _join_the_line() -> None:
    """This process dies with its parent and with its children, and those it spawns will as well."""
    follow_parent()
    os.environ[PARENT_ENV] = str(os.getpid())
    threading.Thread(target=_follow_children, daemon=True).start()


def _follow_children() -> None:
    """vLLM itself looks after its engine core only every five seconds."""
    known: set[BaseProcess] = set()
    while True:
        known.update(multiprocessing.active_children())
        failed = [child for child in known if child.exitcode]
        if failed:
            print(f"{failed[0].name} ended with status {failed[0].exitcode}", file=sys.stderr, flush=True)
            os._exit(1)
        time.sleep(LOOK_S)


def _prepare(environment: MutableMapping[str, str], addresses: Mapping[str, str]) -> None:
    """What only this node knows: its interfaces, its cores, and where it keeps what it compiled."""
    interface = addresses.get(environment["VLLM_HOST_IP"])
    if interface is not None:
        environment["GLOO_SOCKET_IFNAME"] = environment["NCCL_SOCKET_IFNAME"] = interface
    if NUM_RANKS_ENV in environment:
        cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
        threads = max(cores // int(environment[NUM_RANKS_ENV]), 1)
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    cache = home() / "cache"
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "torchinductor")
    environment["VLLM_CACHE_ROOT"] = str(cache / "vllm")


def _addresses() -> dict[str, str]:
    """The interface of each address of this node."""
    return {address.address: name for name, found in psutil.net_if_addrs().items() for address in found}


if __name__ == "__main__":
    main(sys.argv[1:])
elif __name__ == "__mp_main__":
    _join_the_line()
