"""What comes out of the pipe: all ids and all text, in as few frames as the pace allows."""

from __future__ import annotations

import asyncio

from cluster.front.pipe import Pipe
from cluster.wire import Ended, Frame, FrameDecoder, Started, Tokens

ENDED = Ended("stop", 3, 0, 4)


def never() -> float:
    return 3600.0


async def frames_of(pipe: Pipe) -> list[Frame]:
    decoder = FrameDecoder()
    async with asyncio.timeout(10):
        return [frame async for chunk in pipe.chunks() for frame in decoder.feed(chunk)]


async def test_tokens_that_come_faster_than_the_pace_travel_together() -> None:
    pipe = Pipe(10_000, never)
    reading = asyncio.create_task(frames_of(pipe))
    pipe.send(Started(3))
    pipe.send(Tokens((1,), "a"))
    await asyncio.sleep(0)  # the first one is on its way now
    await asyncio.sleep(0)
    pipe.send(Tokens((2,), "b"))
    pipe.send(Tokens((3, 4), "c"))
    pipe.send(ENDED)
    pipe.finish()
    said = [Tokens((1,), "a"), Tokens((2, 3, 4), "bc")]
    assert await reading == [Started(3), *said, ENDED], "the end does not wait for the pace"


async def test_ids_stay_with_exactly_their_text() -> None:
    pipe = Pipe(10_000, never)
    for frame in (Tokens((1,), "a"), Tokens((2,), ""), Tokens((3,), "é"), Tokens((4,), "")):
        pipe.send(frame)
    pipe.send(ENDED)
    pipe.finish()
    assert await frames_of(pipe) == [Tokens((1,), "a"), Tokens((2, 3), "é"), Tokens((4,), ""), ENDED]


async def test_a_reader_that_lags_too_far_behind_loses_the_stream() -> None:
    pipe = Pipe(100, never)
    taken = [pipe.send(Tokens((number,), "x" * 10)) for number in range(10)]
    assert taken[0]
    assert not taken[-1]
    assert pipe.is_broken
