"""Checks of the pool that runs from this home."""

from collections.abc import Callable, Sequence
from typing import Any

from cluster.doctor.check import Check, fail, ok, warn
from cluster.pool.paths import PoolPaths
from cluster.pool.processes import Listener, find_processes, is_loopback, listeners
from cluster.pool.state import PoolState

RAY_CALL = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
CALL_TIMEOUT_S = 3.0
WORTH_BYTES = 2**30
"""What else is free comes and goes by less than this."""


def check_sockets(found: Sequence[Listener]) -> Check:
    """`found`: every socket on which a process of the pool takes in what is sent."""
    open_ones = [socket for socket in found if not is_loopback(socket.host)]
    if not open_ones:
        return ok("Sockets", f"all {len(found)} listen on loopback only")
    named = ", ".join(f"{s.process} (pid {s.pid}) on {s.host}:{s.port}" for s in open_ones)
    return fail("Sockets", f"Reachable from other machines: {named}.", "Stop the pool: hearth down")


def pool_listeners(paths: PoolPaths, state: PoolState) -> list[Listener]:
    return listeners(find_processes(paths.pool_id, state.pid, state.created_s))


def check_token(paths: PoolPaths, state: PoolState) -> Check:
    """Whether Ray refuses a caller without the token, and whether only this user can read it."""
    mode = paths.token.stat().st_mode if paths.token.exists() else None
    if mode is None or mode & 0o077:
        problem = f"{paths.token} is {'missing' if mode is None else 'readable by others'}."
        return fail("Ray token", problem, "Start again: hearth down && hearth up")
    answer = ask_without_token(state.ray_address)
    if answer == "UNAUTHENTICATED":
        return ok("Ray token", "callers without it are refused")
    if answer == "OK":
        return fail("Ray token", "Ray answers callers without a token.", "Stop the pool: hearth down")
    return warn("Ray token", f"Ray at {state.ray_address} did not answer ({answer}).", "See: hearth logs gcs")


def ask_without_token(address: str) -> str:
    """The gRPC status with which Ray answers a caller that shows no token."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(RAY_CALL)
        try:
            call(b"", timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as refusal:
            return refusal.code().name  # ty: ignore[missing-attribute]
    return "OK"


def check_router(view: dict[str, Any]) -> Check:
    return ok("Router", f"epoch {view['epoch']}, {len(view['queue'])} turns waiting")


def check_replicas(view: dict[str, Any]) -> list[Check]:
    """One line for each model that the pool serves or shall serve."""
    return [_check_model(model) for model in view["models"]]


def _check_model(model: dict[str, Any]) -> Check:
    name = f"Model {model['model']}"
    if model["state"] == "failed" or not model["fits"]:
        return fail(name, model["reason"] or "It did not load.", "See: hearth logs replica")
    if model["state"] == "ready":
        return ok(name, f"replicas: {model['num_replicas']}, window: {model['window_tokens']:,} tokens")
    if model["state"] == "unloaded" and not model["wanted"]:
        return ok(name, "not loaded: its next turn, or `hearth load`, loads it")
    return warn(name, model["stage"] or model["state"], "Wait for it: hearth models --watch")


def check_nodes(view: dict[str, Any]) -> list[Check]:
    """What models may hold on each node, and whether it is still there."""
    return [_check_node(node) for node in view["nodes"]]


def _check_node(node: dict[str, Any]) -> Check:
    name, left = f"Node {node['node']}", node["models_bytes"] - node["held_bytes"]
    words = f"{_gib(node['models_bytes'])} GiB for models, {_gib(node['held_bytes'])} held"
    words += f", {_gib(node['reserve_bytes'])} in reserve" if node["reserve_bytes"] else ""
    taken = left - node["memory_free_bytes"]
    if node["num_gpus"] or taken < WORTH_BYTES:
        return ok(name, words)
    problem = f"{words}. Of the {_gib(left)} GiB left for models other programs took {_gib(taken)}."
    remedy = "Close programs there, or start the pool again: it then offers what is free."
    return warn(name, problem, remedy)


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f}"


def check_gateway(ask: Callable[[str], Any]) -> list[Check]:
    """`ask` GETs a path of the gateway and raises where there is no answer."""
    try:
        view = ask("/api/view")
    except Exception as fault:  # noqa: BLE001 - whatever keeps the gateway from answering is the finding
        return [fail("Gateway", str(fault), "See: hearth logs supervisor")]
    return [ok("Gateway", "answers"), check_router(view), *check_nodes(view), *check_replicas(view)]
