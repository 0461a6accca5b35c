"""Models that are loaded when turns want them, as clients of a real gateway and router see it."""

import asyncio
import json

from protos.hearth.v1 import hearth_pb2 as pb
from protos.hearth.v1.hearth_pb2_grpc import HearthServiceStub
from tests.gateway.home import Home
from tests.gateway.streams import Said, stream, streaming
from tests.gateway.test_grpc import channel
from tests.support.living_home import living_home


async def seen(pool: Home, model: str, state: str) -> None:
    """Waits until whoever follows the pool sees the model in this state."""
    async with asyncio.timeout(10), pool.http.get(f"{pool.url}/api/view/stream") as answer:
        async for line in answer.content:
            models = json.loads(line.removeprefix(b"data: "))["models"] if line.startswith(b"data: {") else ()
            if (model, state) in [(one["model"], one["state"]) for one in models]:
                return


async def test_a_turn_loads_its_model_and_its_client_sees_it_come() -> None:
    async with living_home({"a": 4}, node_gib=10) as home:
        assert await home.state("a") == "unloaded"
        async with streaming(home.pool, "Hello", model="a") as (_, chunks):
            first = await anext(chunks)
            told = first
            while told["hearth"].get("stage") != "reading weights":
                told = await anext(chunks)
            home.loader.may_start.set()
            said = Said([first, told, *[chunk async for chunk in chunks]])
    assert told["hearth"]["state"] == "loading"
    assert told["hearth"]["fraction"] == 0.4
    assert told["hearth"]["estimate_s"] > 0
    assert (said.content, said.hearth["node"]) == ("I am a.", "node-1")


async def test_an_idle_model_makes_room_for_the_one_that_a_person_asks_for() -> None:
    async with living_home({"a": 6, "b": 6}, node_gib=10) as home:
        home.loader.may_start.set()
        assert (await stream(home.pool, "Hello", model="a")).content == "I am a."
        async with channel(home.pool) as wire:
            call = HearthServiceStub(wire).LoadModel(pb.LoadModelRequest(model="b"), timeout=20)
            states = [response.model.state async for response in call]
        assert states[-1] == "ready"
        assert (await home.state("a"), await home.state("b")) == ("unloaded", "ready")
        assert (await stream(home.pool, "Hello", model="a")).content == "I am a."


async def test_what_a_person_unloads_is_gone_until_its_next_turn() -> None:
    async with living_home({"a": 4}, node_gib=10) as home:
        home.loader.may_start.set()
        await stream(home.pool, "Hello", model="a")
        status, body, _ = await home.pool.post("/api/models/a/unload", None)
        assert (status, body["model"]["state"]) == (200, "unloading")
        await seen(home.pool, "a", "unloaded")
        _, listed = await home.pool.get("/v1/models")
        assert [(one["id"], one["state"]) for one in listed["data"]] == [("a", "unloaded")]
        assert (await stream(home.pool, "Hello", model="a")).content == "I am a."
