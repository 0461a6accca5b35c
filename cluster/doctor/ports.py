"""Whether the pool's ports are free, and who has them if not."""

import errno
import socket

import psutil

from cluster.config import GatewayConfig
from cluster.doctor.check import Check, fail, ok

OPTIONS = {"http_port": "--port", "grpc_port": "--grpc-port"}


def check_port(gateway: GatewayConfig, field: str) -> Check:
    """`field`: http_port or grpc_port."""
    port: int = getattr(gateway, field)
    name = f"Port {port}"
    problem = _bind(gateway.host, port)
    if problem is None:
        return ok(name, "free")
    if problem == errno.EACCES:
        return fail(name, f"This user may not listen on port {port}.", _choose_another(field))
    holder = port_holder(port) or "another program, which this user cannot see"
    return fail(name, f"Port {port} is taken by {holder}.", f"End it. {_choose_another(field)}")


def check_ports_differ(gateway: GatewayConfig) -> Check:
    if gateway.http_port != gateway.grpc_port:
        return ok("Ports", "differ")
    return fail("Ports", f"HTTP and gRPC both want port {gateway.http_port}.", _choose_another("grpc_port"))


def _choose_another(field: str) -> str:
    return f"Choose another port: hearth up {OPTIONS[field]} PORT (gateway.{field} in hearth.yaml)."


def _bind(host: str, port: int) -> int | None:
    """None where a server could listen there, else the error's number."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections linger
        try:
            probe.bind((host, port))
        except OSError as fault:
            return fault.errno
    return None


def port_holder(port: int) -> str | None:
    """`name (pid N)` of the process that listens on this port, as far as this user may see it."""
    for process in psutil.process_iter(["name"]):
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets):
            return f"{process.info['name']} (pid {process.pid})"
    return None
