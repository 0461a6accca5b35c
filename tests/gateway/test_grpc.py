"""What a gRPC client sees."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.deployments.fake import FakeEngine
from protos.hearth.v1 import hearth_pb2 as pb
from protos.hearth.v1 import hearth_pb2_grpc
from tests.gateway.home import Home, home


def channel(pool: Home) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{pool.gateway.grpc_port}")


def ask(text: str, model: str = "fake", role: pb.Role = pb.ROLE_USER) -> pb.ChatRequest:
    return pb.ChatRequest(
        model=model, messages=[pb.Message(role=role, content=text)], session_id="s", generation=2
    )


async def test_a_turn_streams_and_ends_with_usage_and_place() -> None:
    async with home(FakeEngine()) as pool, channel(pool) as wire:
        stub = hearth_pb2_grpc.HearthServiceStub(wire)
        said = [response async for response in stub.Chat(ask("Hello"), timeout=20)]
        async with pool.http.get(f"{pool.url}/metrics") as answer:
            page = await answer.text()
    assert 'route="/hearth.v1.HearthService/Chat",status="200"} 1.0' in page
    assert "".join(response.content for response in said) == "Hello"
    kinds = [response.WhichOneof("event") for response in said]
    assert kinds[0] == "placement"
    assert kinds[-1] == "finished"
    end = said[-1].finished
    assert (end.reason, end.usage.completion_tokens) == (pb.FINISH_REASON_STOP, 5)
    assert end.placement == pb.Placement(
        node="node-1", engine="fake", locality=pb.LOCALITY_LOCAL, session_id="s"
    )


@pytest.mark.parametrize(
    ("request_", "code", "hearth_code", "words"),
    [
        (ask("x", model="gpt-9"), grpc.StatusCode.NOT_FOUND, "model_not_found", "gpt-9"),
        (
            ask("x", role=pb.ROLE_UNSPECIFIED),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_value",
            "messages[0].role",
        ),
        (
            ask("x" * 9000),
            grpc.StatusCode.INVALID_ARGUMENT,
            "context_length_exceeded",
            "maximum context length is 8192 tokens. However, you requested",
        ),
    ],
)
async def test_errors_are_the_contracts(
    request_: pb.ChatRequest, code: grpc.StatusCode, hearth_code: str, words: str
) -> None:
    async with home(FakeEngine()) as pool, channel(pool) as wire:
        call = hearth_pb2_grpc.HearthServiceStub(wire).Chat(request_, timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
    fault = caught.value
    assert fault.code() is code
    assert words in (fault.details() or "")
    assert ("hearth-error-code", hearth_code) in tuple(fault.trailing_metadata() or ())


async def test_models_cluster_and_health_are_told() -> None:
    async with home(FakeEngine()) as pool, channel(pool) as wire:
        stub = hearth_pb2_grpc.HearthServiceStub(wire)
        models = await stub.ListModels(pb.ListModelsRequest(), timeout=20)
        cluster = await stub.GetCluster(pb.GetClusterRequest(), timeout=20)
        health = await health_pb2_grpc.HealthStub(wire).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert [(model.name, model.state, model.window_tokens) for model in models.models] == [
        ("fake", "ready", 8192)
    ]
    assert [(replica.node, replica.kv_tokens) for replica in cluster.replicas] == [("node-1", 8192)]
    assert cluster.epoch == 1
    assert health.status == health_pb2.HealthCheckResponse.SERVING
