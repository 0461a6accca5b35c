"""Ray on this machine alone: loopback only, token required, small, silent, and gone with its driver."""

import secrets
import sys
from collections.abc import Mapping
from typing import Any

from cluster.config import NodeConfig
from cluster.inventory.offer import this_offer
from cluster.pool.paths import PoolPaths
from cluster.pool.processes import POOL_ENV
from cluster.pool.state import write_private

NAMESPACE = "hearth"
NODE_LABEL = "hearth.node"
"""The label that pins an actor to its node."""

RESERVE_LABEL = "hearth.reserve"
"""The label that tells how many bytes the node leaves free beside those for models."""

SHED = frozenset({"RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_NAMESPACE"})
"""Variables of somebody else's cluster, which would win over ours."""

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray's least.  Tokens never pass through it."""


def ray_environment(paths: PoolPaths, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment that the supervisor and everything below it must have before Ray is imported.

    Emulating what Ray does on a Mac is the only way to keep Linux on the loopback address, and a Mac must
    be told that it may form a cluster.  Ports of 0 let several pools live side by side.
    """
    return {
        **{name: value for name, value in inherited.items() if name not in SHED},
        POOL_ENV: paths.pool_id,
        "HEARTH_HOME": str(paths.home),
        "TMPDIR": str(paths.temporary),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(paths.token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1" if sys.platform == "darwin" else "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",  # it would speak to hosts that nobody named
        "RAY_raylet_start_wait_time_s": "120",
        "AUTOSCALER_METRIC_PORT": "0",
        "DASHBOARD_METRIC_PORT": "0",
    }


def make_token(paths: PoolPaths) -> None:
    """A new token for every start: an old one opens nothing."""
    write_private(paths.token, secrets.token_hex(32))


def start_ray(paths: PoolPaths, node: str, config: NodeConfig | None = None) -> str:
    """Starts Ray below this process and connects to it.  Returns its address, `127.0.0.1:port`."""
    import ray

    leave_out_api_server()
    offer = this_offer(config or NodeConfig())
    context: Any = ray.init(
        "local",  # never a cluster that the environment names
        namespace=NAMESPACE,
        labels={**offer.labels, NODE_LABEL: node, RESERVE_LABEL: str(offer.reserve_bytes)},
        num_gpus=offer.num_gpus,
        object_store_memory=OBJECT_STORE_BYTES,
        _memory=offer.models_bytes,  # what engines hold, each byte once
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=str(paths.ray),
    )
    address = context.address_info["gcs_address"]
    if not address.startswith("127.0.0.1:"):
        ray.shutdown()
        raise RuntimeError(f"Ray listens on {address}, not on loopback")
    return address


def leave_out_api_server() -> None:
    """Keeps Ray from starting its API server, which nothing of ours asks for.

    Ray 2.60 starts it without a dashboard too, to report usage; with the reports switched off it still
    asks the metadata addresses of three clouds whether it runs there.  Raises RuntimeError under a Ray
    that starts it in another way.
    """
    from ray._private import services

    if not hasattr(services, "start_api_server"):
        raise RuntimeError("This Ray is not the version that Hearth pins. Install that one.")
    # What Ray itself returns where it fails to start.
    services.start_api_server = lambda *_, **__: (None, None)  # ty: ignore[invalid-assignment]


def stop_ray() -> None:
    import ray

    ray.shutdown()
