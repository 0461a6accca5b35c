"""Listening."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cluster.gateway.rpc.service import HearthService
from cluster.gateway.turns import Turns
from protos.hearth.v1 import hearth_pb2, hearth_pb2_grpc

GRACE_S = 2.0
NAME = hearth_pb2.DESCRIPTOR.services_by_name["HearthService"].full_name


async def serve(turns: Turns, host: str, port: int, max_bytes: int) -> tuple[grpc.aio.Server, int]:
    """Returns the server and its port; 0 takes a free one.  Raises OSError where the port is taken."""
    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", max_bytes)]
    )
    hearth_pb2_grpc.add_HearthServiceServicer_to_server(HearthService(turns), server)
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as fault:
        raise OSError(str(fault)) from fault
    await server.start()
    for name in ("", NAME):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)
    return server, bound


async def stop(server: grpc.aio.Server) -> None:
    await server.stop(GRACE_S)
