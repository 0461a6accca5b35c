"""Keeps a Serve replica's own gRPC port off the network.

Ray Serve 2.60 lets every replica listen on all addresses for calls between deployments and has no setting
for it.  Nobody calls ours that way, so the port is moved to loopback before it opens.
"""

import ray
from ray.serve._private import replica

TESTED_RAY = "2.60.0"
_SYMBOL = "add_port_to_grpc_server"


def bind_to_loopback() -> None:
    """Call it in a deployment's constructor.  Raises RuntimeError under a Ray it was not tried with."""
    if ray.__version__ != TESTED_RAY or not hasattr(replica, _SYMBOL):
        raise RuntimeError(
            f"Ray {ray.__version__} opens a replica's port in a way that was not tried (tried: "
            f"{TESTED_RAY}). Install the version that Hearth pins."
        )
    add_port = getattr(replica, _SYMBOL)
    if add_port.__module__ != __name__:
        setattr(replica, _SYMBOL, lambda server, _: add_port(server, "127.0.0.1:0"))
