"""Five situations in which routers of this kind fail."""

import asyncio
import socket
import time
from dataclasses import replace
from itertools import pairwise

from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.gateway.turns import TurnLimits
from tests.gateway.home import SETTINGS, Home, home
from tests.gateway.streams import stream


async def ask(pool: Home, text: str) -> tuple[int, str]:
    """Status and the node that answered."""
    body = {"model": "fake", "messages": [{"role": "user", "content": text}], "max_tokens": 16}
    status, _, headers = await pool.post("/v1/chat/completions", body)
    return status, headers.get("x-hearth-node", "")


def sized(tokens: int) -> FakeEngine:
    return FakeEngine(FakeSettings(kv_tokens=tokens, window_tokens=tokens))


async def test_a_large_prompt_never_goes_to_the_small_node() -> None:
    async with home(sized(2048), sized(32_768)) as pool:
        for number in range(20):
            assert await ask(pool, f"{number} " + "x" * 5000) == (200, "node-2")


async def test_many_oversize_prompts_take_nothing_from_the_good_ones() -> None:
    async with home(sized(2048)) as pool:
        bad = await asyncio.gather(*(ask(pool, f"{number} " + "x" * 5000) for number in range(30)))
        good = await asyncio.gather(*(ask(pool, f"Hello {number}") for number in range(10)))
    assert [status for status, _ in bad] == [400] * 30
    assert good == [(200, "node-1")] * 10


async def test_a_killed_engine_truncates_no_stream() -> None:
    told = {"answer": "0123456789ab"}
    for _ in range(3):
        dying = FakeEngine(FakeSettings.model_validate({**told, "die_after_tokens": 5}))
        other = FakeEngine(FakeSettings.model_validate({**told, "prefill_tps": 1000.0}))
        async with home(dying, other) as pool:
            assert (await stream(pool, "Hello")).content == "0123456789ab"


async def test_no_byte_waits_for_an_acknowledgement() -> None:
    """A client that acknowledges late would make Nagle hold back the second write by 40 ms."""
    engine = FakeEngine(FakeSettings(answer="x" * 200, decode_tps=500.0))
    async with home(engine) as pool:
        await ask(pool, "warm")
        gaps = await asyncio.to_thread(_gaps, pool.gateway.http_port)
    assert len(gaps) > 20
    assert sorted(gaps)[len(gaps) // 2] < 0.03


def _gaps(port: int) -> list[float]:
    """Seconds between the pieces of an answer, as a delayed-ACK client gets them."""
    body = b'{"model": "fake", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        if hasattr(socket, "TCP_QUICKACK"):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        wire.sendall(head.encode() + body)
        seen, times = b"", list[float]()
        while b"[DONE]" not in seen:
            seen += wire.recv(65536)
            times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


async def test_fifty_at_a_node_that_holds_eight_wait_with_an_estimate() -> None:
    engine = FakeEngine(FakeSettings(num_slots=8, decode_tps=2000.0))
    patient = replace(SETTINGS, turns=TurnLimits(patience_s=600.0))
    async with home(engine, settings=patient) as pool:
        turns = [asyncio.create_task(ask(pool, f"turn {number}")) for number in range(50)]
        queue = ()
        while not queue and not all(turn.done() for turn in turns):
            queue = (await pool.switch.view()).queue
            await asyncio.sleep(0)
        answers = await asyncio.gather(*turns)
    assert [status for status, _ in answers] == [200] * 50
    assert queue, "some had to wait"
    assert all(turn.estimate_s >= 0 and turn.position >= 1 for turn in queue)
