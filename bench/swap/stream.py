"""A mixed stream of turns: drawn from a seed, or read from a file with the model of each line drawn."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

from bench.first_light.turn import request, seen
from bench.harness.client import Address, ask
from bench.harness.prompts import Messages, prompts
from bench.swap.settings import SwapSettings


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at_s` after the stream began."""

    at_s: float
    model: str
    messages: Messages


def arrivals(settings: SwapSettings, seed: int) -> list[Arrival]:
    """Each model as often as the others, in an order by chance."""
    chance = random.Random(seed)
    models = [settings.names[number % settings.models] for number in range(settings.turns)]
    chance.shuffle(models)
    asked = prompts(settings.data, seed, settings.turns, settings.prompt_words)
    at_s, found = 0.0, []
    for messages, model in zip(asked, models, strict=True):
        found.append(Arrival(at_s, model, messages))
        at_s += chance.expovariate(1 / settings.gap_s)
    return found


async def play(settings: SwapSettings, gateway: Address, stream: list[Arrival]) -> list[dict[str, Any]]:
    """Asks each at its time, whatever became of those before; what a client saw of each."""
    began_s = time.monotonic()
    return list(await asyncio.gather(*(_turn(settings, gateway, began_s, each) for each in stream)))


async def _turn(settings: SwapSettings, gateway: Address, began_s: float, arrival: Arrival) -> dict[str, Any]:
    await asyncio.sleep(max(0.0, began_s + arrival.at_s - time.monotonic()))
    body = request(arrival.model, arrival.messages, settings.output_tokens)
    reply = await ask(gateway, body, settings.answer_s)
    return {"model": arrival.model, "at_s": round(arrival.at_s, 3), **seen(reply)}
