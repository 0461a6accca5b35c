"""Loading and unloading a model, and waiting for one, as HTTP and gRPC clients see it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from cluster.core.commands import Commit, Queue, Reject
from cluster.core.errors import ServerError
from cluster.core.events import LoadAsked, TurnArrived, UnloadAsked
from cluster.core.ids import Cause, GatewayId
from cluster.core.view import ModelStatus
from protos.hearth.v1 import hearth_pb2 as pb
from protos.hearth.v1.hearth_pb2_grpc import HearthServiceStub
from tests.gateway.home import SETTINGS, Home, gateway_at
from tests.gateway.streams import streaming
from tests.gateway.switch import Switch
from tests.gateway.test_grpc import ask, channel
from tests.support.lives import FAILED, LOADING, NO_ROOM, READY, UNLOADED, UPSTREAM, Lives

CAUSE, GATEWAY = Cause("test"), GatewayId("gateway-1")


@asynccontextmanager
async def pool_of(router: Lives) -> AsyncGenerator[Home]:
    async with gateway_at(Switch(router), SETTINGS) as pool:
        yield pool


async def test_a_load_is_answered_at_once_and_twice_is_no_error() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool:
        first = await pool.post("/api/models/qwen3-8b/load", None)
        second = await pool.post("/api/models/qwen3-8b/load", None)
    assert (first[0], second[0]) == (200, 200)
    model = first[1]["model"]
    assert (model["state"], model["stage"], model["fraction"]) == ("loading", "reading weights", 0.4)
    assert (model["engine"], model["nodes"], model["flags"]) == ("llamacpp", ["studio"], ["small"])
    assert [event.model for event in router.told(LoadAsked)] == ["qwen3-8b"] * 2


async def test_an_unload_says_what_ends_first_and_that_it_was_to_be_kept() -> None:
    router = Lives(READY)
    async with pool_of(router) as pool:
        status, body, _ = await pool.post("/api/models/qwen3-8b/unload", None)
    assert (status, body["model"]["state"]) == (200, "unloaded")
    assert body["note"].startswith("2 turns in flight will end first. It is to be kept warm")
    assert router.told(UnloadAsked)


@pytest.mark.parametrize("verb", ["load", "unload"])
async def test_what_cannot_be_loaded_is_refused_with_the_reason(verb: str) -> None:
    async with pool_of(Lives(READY, UPSTREAM)) as pool:
        unknown = await pool.post(f"/api/models/qwen3/8b/{verb}", None)
        upstream = await pool.post(f"/api/models/llama3.2/{verb}", None)
    assert (unknown[0], unknown[1]["error"]["code"]) == (404, "model_not_found")
    assert "`qwen3/8b` does not exist here. Models of this pool: `qwen3-8b`" in unknown[1]["error"]["message"]
    assert (upstream[0], upstream[1]["error"]["code"]) == (400, "not_managed")
    assert "runs by itself" in upstream[1]["error"]["message"]


async def test_without_a_router_a_load_says_so() -> None:
    router = Lives(READY)
    async with pool_of(router) as pool:
        pool.switch.router = None
        status, body, _ = await pool.post("/api/models/qwen3-8b/load", None)
        pool.switch.router = router
    assert (status, body["error"]["code"]) == (503, "overloaded")


async def test_clients_see_models_that_are_not_loaded() -> None:
    async with pool_of(Lives(UNLOADED, UPSTREAM)) as pool:
        listed = await pool.openai.models.list()
    states = {model.id: (model.model_extra or {})["state"] for model in listed.data}
    assert states == {"qwen3-8b": "unloaded", "llama3.2": "ready"}


async def test_a_web_page_of_elsewhere_can_unload_nothing() -> None:
    router = Lives(READY)
    async with pool_of(router) as pool:
        answer = await pool.post("/api/models/qwen3-8b/unload", None, Origin="https://elsewhere.example")
    assert (answer[0], router.told(UnloadAsked)) == (403, [])


@pytest.mark.parametrize(("model", "status"), [(UNLOADED, 200), (NO_ROOM, 503), (FAILED, 503)])
async def test_health_is_good_where_a_turn_would_load_its_model(model: ModelStatus, status: int) -> None:
    async with pool_of(Lives(model)) as pool:
        told = await pool.get("/healthz")
    assert (told[0], told[1]["models"]) == (status, {"qwen3-8b": model.state})


async def test_grpc_tells_how_far_a_load_has_come_until_it_is_ready() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool, channel(pool) as wire:
        call = aiter(HearthServiceStub(wire).LoadModel(pb.LoadModelRequest(model="qwen3-8b"), timeout=20))
        first = (await anext(call)).model
        router.show(READY)
        rest = [response.model async for response in call]
    assert (first.state, first.loading.stage, first.loading.fraction) == ("loading", "reading weights", 0.4)
    assert [model.state for model in rest] == ["ready"]
    assert (rest[0].engine, rest[0].memory_bytes, rest[0].flags) == ("llamacpp", 9 << 30, ["small"])
    assert (rest[0].keep_warm, rest[0].managed, rest[0].num_running) == (True, True, 2)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (FAILED, "It needs 90 GiB"),
        (NO_ROOM, "fits nowhere: it needs 90 GiB"),
        (UNLOADED, "somebody has unloaded it again"),
    ],
)
async def test_grpc_says_why_a_load_ended_without_a_model(end: ModelStatus, words: str) -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool, channel(pool) as wire:
        call = aiter(HearthServiceStub(wire).LoadModel(pb.LoadModelRequest(model="qwen3-8b"), timeout=20))
        await anext(call)
        router.show(end)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert words in (caught.value.details() or "")
    assert ("hearth-error-code", "load_failed") in tuple(caught.value.trailing_metadata() or ())


async def test_a_start_that_failed_and_is_tried_again_is_followed_on() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool, channel(pool) as wire:
        call = aiter(HearthServiceStub(wire).LoadModel(pb.LoadModelRequest(model="qwen3-8b"), timeout=20))
        states = [(await anext(call)).model.state]
        for status in (replace(UNLOADED, wanted=True), LOADING, READY):
            router.show(status)
            states.append((await anext(call)).model.state)
    assert states == ["loading", "unloaded", "loading", "ready"]


async def test_grpc_unloads_and_refuses_as_http_does() -> None:
    async with pool_of(Lives(READY, UPSTREAM)) as pool, channel(pool) as wire:
        stub = HearthServiceStub(wire)
        done = await stub.UnloadModel(pb.UnloadModelRequest(model="qwen3-8b"), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.UnloadModel(pb.UnloadModelRequest(model="llama3.2"), timeout=20)
    assert (done.model.state, "2 turns in flight" in done.note) == ("unloaded", True)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def loading(turn: TurnArrived, fraction: float) -> Queue:
    return Queue(turn.turn, GATEWAY, 1, 12.34, CAUSE, "reading weights", fraction)


async def test_a_stream_that_waits_for_its_model_says_how_far_it_is() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool:
        asking = asyncio.create_task(_first_chunks(pool, 2))
        turn = await router.hear(TurnArrived)
        await router.tell(loading(turn, 0.4), Commit(turn.turn, GATEWAY, 12.0, CAUSE), loading(turn, 0.5))
        chunks = await asyncio.wait_for(asking, 10)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["", ""]
    assert [chunk["hearth"] for chunk in chunks] == [
        {
            "state": "loading",
            "stage": "reading weights",
            "fraction": fraction,
            "position": 1,
            "estimate_s": 12.3,
        }
        for fraction in (0.4, 0.5)
    ]


async def _first_chunks(pool: Home, num: int) -> list[dict[str, Any]]:
    async with streaming(pool, "Hello", model="qwen3-8b") as (_, chunks):
        return [await anext(chunks) for _ in range(num)]


async def test_openais_own_client_reads_such_a_stream() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool:

        async def talk() -> list[dict[str, Any]]:
            stream = await pool.openai.chat.completions.create(
                model="qwen3-8b", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
            async with stream:
                chunks = [await anext(stream.__aiter__()) for _ in range(2)]
            return [(chunk.model_extra or {})["hearth"] for chunk in chunks]

        asking = asyncio.create_task(talk())
        turn = await router.hear(TurnArrived)
        await router.tell(loading(turn, 0.4), Commit(turn.turn, GATEWAY, 12.0, CAUSE), loading(turn, 0.5))
        told = await asyncio.wait_for(asking, 10)
    assert [one["fraction"] for one in told] == [0.4, 0.5]


async def test_a_grpc_turn_that_waits_for_its_model_says_how_far_it_is() -> None:
    router = Lives(UNLOADED)
    async with pool_of(router) as pool, channel(pool) as wire:
        call = HearthServiceStub(wire).Chat(ask("Hello", model="qwen3-8b"), timeout=20)
        turn = await router.hear(TurnArrived)
        await router.tell(loading(turn, 0.4), Queue(turn.turn, GATEWAY, 2, 3.0, CAUSE))
        said = [(await call.read()).waiting for _ in range(2)]
        await router.tell(Reject(turn.turn, GATEWAY, ServerError("enough"), CAUSE))
        with pytest.raises(grpc.aio.AioRpcError, match="enough"):
            await call.read()
    assert (said[0].loading.stage, said[0].loading.fraction) == ("reading weights", 0.4)
    assert (said[1].HasField("loading"), said[1].position) == (False, 2)
