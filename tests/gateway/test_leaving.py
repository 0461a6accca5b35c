"""A client that goes away frees what it held, at the engine, within a second."""

import aiohttp
import grpc
import pytest

from cluster.core.events import FirstToken, LeaseEnded, LeaseStarted, TurnCancelled
from cluster.deployments.fake import FakeEngine, FakeSettings
from protos.hearth.v1 import hearth_pb2_grpc
from tests.gateway.home import home
from tests.gateway.streams import stream, streaming
from tests.gateway.test_grpc import ask, channel
from tests.support.pace import Pace


async def test_while_it_decodes() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="x" * 100, decode_tps=100.0), pace.sleep)
    async with home(engine) as pool:
        pace.let(3)
        async with streaming(pool, "Hello") as (_, chunks):
            await pool.switch.hear(FirstToken)
            await anext(chunks)
            assert len(engine.running) == 1
        await pool.switch.hear(LeaseEnded, within_s=1.0)
        assert engine.running == []
        assert not pool.replicas[0].front.book.ledger.leases
        await pool.switch.hear(TurnCancelled)


async def test_while_it_prefills() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(prefill_tps=100.0, batch_tokens=64), pace.sleep)
    async with home(engine) as pool:
        async with streaming(pool, "x" * 1000):
            await pool.switch.hear(LeaseStarted)
        await pool.switch.hear(LeaseEnded, within_s=1.0)
        assert engine.running == []


async def test_while_it_waits_in_the_queue() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="x" * 9, decode_tps=100.0, num_slots=1), pace.sleep)
    async with home(engine) as pool, streaming(pool, "first"):
        await pool.switch.hear(LeaseStarted)
        with pytest.raises(TimeoutError):
            await pool.http.post(
                f"{pool.url}/v1/chat/completions",
                json={"model": "fake", "messages": [{"role": "user", "content": "second"}]},
                timeout=aiohttp.ClientTimeout(total=0.2),
            )
        await pool.switch.hear(TurnCancelled, within_s=1.0)
        view = await pool.switch.view()
        assert view.queue == ()
        pace.free()


async def test_over_grpc() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="x" * 100, decode_tps=100.0), pace.sleep)
    async with home(engine) as pool, channel(pool) as wire:
        pace.let(3)
        call = hearth_pb2_grpc.HearthServiceStub(wire).Chat(ask("Hello"), timeout=20)
        await pool.switch.hear(FirstToken)
        call.cancel()
        await pool.switch.hear(LeaseEnded, within_s=1.0)
        assert engine.running == []
        assert await call.code() is grpc.StatusCode.CANCELLED


async def test_the_next_one_finds_its_place_free() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="x" * 50, decode_tps=100.0, num_slots=1), pace.sleep)
    async with home(engine) as pool:
        async with streaming(pool, "Hello"):
            await pool.switch.hear(LeaseStarted)
        pace.free()
        assert (await stream(pool, "Hello")).content == "x" * 50
