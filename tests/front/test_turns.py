"""A turn at a front, over real HTTP."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from cluster.core.events import LeaseEnded, LeaseStarted
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.wire import Ended, Failed, Frame, Progress, Started, Tokens
from tests.support.fronts import QUICK, ask, serving
from tests.support.pace import Pace


def text_of(frames: Sequence[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, Tokens))


async def test_a_turn_is_answered_with_its_frames_in_order() -> None:
    async with serving(FakeEngine()) as client:
        frames = await client.turn(ask("Grüße, 世界 🔥"))
    assert isinstance(frames[0], Started)
    assert frames[0].prompt_tokens == len(frames[0].prompt_ids)
    assert frames[0].continuable
    kinds = [type(frame) for frame in frames[1:]]
    assert kinds == [Progress] * kinds.count(Progress) + [Tokens] * kinds.count(Tokens) + [Ended]
    assert text_of(frames) == "Grüße, 世界 🔥"
    assert frames[-1] == Ended("stop", frames[0].prompt_tokens, 0, len("Grüße, 世界 🔥".encode()))


async def test_turns_share_a_number_of_frames_a_second() -> None:
    slow = FakeSettings(answer="x" * 30, decode_tps=500.0)
    for frames_per_s, few in ((1e9, False), (1e-3, True)):
        limits = replace(QUICK, pace_s=0.0, frames_per_s=frames_per_s)
        async with serving(FakeEngine(slow), limits) as client:
            frames = await client.turn(ask("hello"))
            assert text_of(frames) == "x" * 30
            assert (sum(isinstance(frame, Tokens) for frame in frames) <= 2) == few


async def test_the_second_turn_of_a_session_finds_its_prefix() -> None:
    async with serving(FakeEngine()) as client:
        await client.turn(ask("hello there"))
        frames = await client.turn(ask("hello there, again"))
    assert isinstance(frames[-1], Ended)
    assert frames[-1].cached_tokens >= len("hello there")


async def test_the_lease_has_ended_before_the_last_frame_is_sent() -> None:
    async with serving(FakeEngine()) as client:
        request = ask("hello")
        seen = []
        async for frame in client.stream(request):
            if isinstance(frame, Ended):
                seen = list(client.front.book.ledger.leases), client.engine.running
        assert seen == ([], [])
        started = await client.router.hear(LeaseStarted)
        ended = await client.router.hear(LeaseEnded)
        assert started.lease == ended.lease
        assert ended.resident_tokens == started.prompt_tokens + len("hello")
        assert client.engine.used_tokens == ended.resident_tokens


async def test_a_client_that_goes_away_frees_its_sequence_within_a_second() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(decode_tps=1), pace.sleep)
    async with serving(engine) as client:
        stream = client.stream(ask("a long answer"))
        pace.let(2)
        frames = [await anext(stream) for _ in range(4)]
        assert isinstance(frames[-1], Tokens)
        assert len(engine.running) == 1
        await stream.aclose()
        async with asyncio.timeout(1):
            ended = await client.router.hear(LeaseEnded)
        assert engine.running == []
        # What was computed stays for the session's next turn.
        assert ended.resident_tokens >= engine.used_tokens > len("a long answer")


async def test_a_lease_lives_until_the_engine_has_let_go() -> None:
    pace, letting_go = Pace(), Pace()

    async def sleep(seconds: float) -> None:
        await (letting_go if seconds == 7 else pace).sleep(seconds)

    engine = FakeEngine(FakeSettings(decode_tps=1, free_s=7), sleep)
    async with serving(engine) as client:
        stream = client.stream(ask("a long answer"))
        pace.let()
        while not isinstance(await anext(stream), Tokens):
            pass
        await stream.aclose()
        report = await client.router.next_report()
        report = await client.router.next_report()
        assert len(report.leases) == 1
        letting_go.let()
        await client.router.hear(LeaseEnded)


async def test_a_client_that_goes_away_while_its_prompt_is_computed_is_noticed() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(prefill_tps=1, batch_tokens=4), pace.sleep)
    async with serving(engine) as client:
        stream = client.stream(ask("a long prompt"))
        pace.let()
        assert isinstance(await anext(stream), Started)
        assert await anext(stream) == Progress(0, 16, 0)
        assert await anext(stream) == Progress(4, 16, 0)
        await stream.aclose()
        async with asyncio.timeout(1):
            assert (await client.router.hear(LeaseEnded)).resident_tokens == 4


async def test_an_overflow_is_worded_as_the_contract_words_it() -> None:
    async with serving(FakeEngine(FakeSettings(window_tokens=100))) as client:
        (failed,) = await client.turn(ask("x" * 90, max_tokens=50))
    assert isinstance(failed, Failed)
    assert (failed.status, failed.code) == (400, "context_length_exceeded")
    assert failed.message == (
        "This model's maximum context length is 100 tokens. However, you requested 143 tokens (93 in the "
        "messages, 50 in the completion). Please reduce the length of the messages or completion. "
        "(context_length_exceeded)"
    )


async def test_what_the_engine_cannot_do_is_the_clients_fault() -> None:
    async with serving(FakeEngine()) as client:
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
        (failed,) = await client.turn(replace(ask("x"), messages=(image,)))
        ended = await client.router.hear(LeaseEnded)
    assert isinstance(failed, Failed)
    assert (failed.status, failed.code) == (400, "invalid_value")
    assert "takes no images" in failed.message
    assert ended.resident_tokens == 0, "what was granted for it is free again"


async def test_a_body_that_is_not_a_turn_is_refused_and_one_that_is_too_large_too() -> None:
    async with serving(FakeEngine(), replace(QUICK, body_bytes=1000)) as client:
        sealed = client.sign(client.ticket(ask("x")))
        async with client.post("/turn", sealed, b"\x81\xa1x\x01") as response:
            assert b"cannot be read" in await response.read()
        async with client.post("/turn", sealed, b"x" * 1001) as response:
            assert response.status == 413
        assert client.router.told(LeaseStarted) == []


async def test_as_many_connections_as_are_allowed_and_no_more() -> None:
    async with serving(FakeEngine(), replace(QUICK, num_connections=2)) as client:
        host, port = client.front.endpoint.removeprefix("http://").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        for _, other in [*held, (reader, writer)]:
            other.close()


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    async with serving(FakeEngine(), replace(QUICK, idle_connection_s=0.05)) as client:
        host, port = client.front.endpoint.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
