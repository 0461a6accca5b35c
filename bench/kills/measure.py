"""Kills one process of a gang while turns run, again and again, each process of the gang in turn."""

import asyncio
import time
from dataclasses import asdict

from bench.first_light.turn import TURN_S, request, seen
from bench.harness.client import Connection, ask, connect
from bench.harness.pool import Pool
from bench.harness.prompts import Messages, prompts
from bench.harness.record import Recorder
from bench.kills.gang import left_over, name_of, ranks_of
from bench.kills.settings import KillSettings
from bench.kills.story import read_story

BEGUN_BYTES = 4096
"""Of a stream: some tokens have come, and most have not."""


async def measure(settings: KillSettings, pool: Pool, model: str, times: int, record: Recorder) -> None:
    asked = prompts(settings.data, settings.seeds[0], settings.turns, settings.prompt_words)
    whole = [await _answer(pool, model, messages, settings) for messages in asked]
    for number in range(times):
        began = await asyncio.gather(*(_begin(pool, model, messages, settings) for messages in asked))
        gang = ranks_of(pool, model)
        victim = gang[number % len(gang)]
        name = name_of(victim)
        killed_s = time.monotonic()
        victim.kill()
        answers = [await _text(connection) for connection in began]
        story = await read_story(pool.home, model, killed_s, settings.turns, settings.back_s)
        lost = [] if story.harmless else gang
        left = await asyncio.to_thread(left_over, lost, settings.fate_s)
        record.add(
            "kill",
            model=model,
            number=number,
            victim=name,
            num_processes=len(gang),
            num_equal=sum(answer == wanted for answer, wanted in zip(answers, whole, strict=True)),
            equal_chars=[_equal_chars(*both) for both in zip(answers, whole, strict=True)],
            answer_chars=[len(answer) for answer in answers],
            num_turns=settings.turns,
            left_over=left,
            **asdict(story),
        )


async def _begin(pool: Pool, model: str, messages: Messages, settings: KillSettings) -> Connection:
    connection = await connect(pool.http)
    connection.send(request(model, messages, settings.output_tokens))
    await connection.has(BEGUN_BYTES, TURN_S)
    return connection


async def _answer(pool: Pool, model: str, messages: Messages, settings: KillSettings) -> str:
    reply = await ask(pool.http, request(model, messages, settings.output_tokens), TURN_S)
    if not seen(reply)["is_whole"]:
        raise RuntimeError(f"{model} does not answer: {seen(reply)['error']}")
    return _text_of(reply.events)


async def _text(connection: Connection) -> str:
    reply = await connection.reply(TURN_S)
    return _text_of(reply.events) if seen(reply)["is_whole"] else ""


def _equal_chars(answer: str, wanted: str) -> int:
    """How far an answer goes as it should."""
    pairs = enumerate(zip(answer, wanted, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(answer), len(wanted)))


def _text_of(events: list[tuple[float, dict]]) -> str:
    deltas = [event["choices"][0]["delta"] for _, event in events if event.get("choices")]
    return "".join(delta.get("reasoning_content") or delta.get("content") or "" for delta in deltas)
