"""The first token, through the gateway and of the engine, prompt by prompt in turns.

Each side is asked twice: `cold`, every slot emptied before, and `warm`, the same words again right after.
"""

from bench.first_light.engine import forget_all
from bench.first_light.settings import FirstLightSettings
from bench.first_light.turn import TURN_S, request, seen
from bench.harness.client import Address, ask
from bench.harness.prompts import Messages, prompts
from bench.harness.record import Recorder
from cluster.config import GUIDE

OUTPUT_TOKENS = 8


async def measure(
    settings: FirstLightSettings, gateway: Address, engine: Address, num_slots: int, record: Recorder
) -> None:
    for seed in settings.seeds:
        num = settings.ttfb_repeats * settings.ttfb_samples
        asked = prompts(settings.data, seed, num + 1, settings.prompt_words)
        await _ask_both(("pool", gateway), asked.pop(), engine, num_slots)  # warms connections, not counted
        for at, messages in enumerate(asked):
            sides = [("pool", gateway), ("engine", engine)]
            for side in sides if at % 2 else reversed(sides):
                for state, row in (await _ask_both(side, messages, engine, num_slots)).items():
                    where = {"seed": seed, "repeat": at // settings.ttfb_samples, "prompt": at}
                    record.add("ttfb", side=side[0], state=state, **where, **row)


async def _ask_both(
    side: tuple[str, Address], messages: Messages, engine: Address, num_slots: int
) -> dict[str, dict]:
    name, address = side
    await forget_all(engine, num_slots)
    # The pool brings a session back to its slot; the engine itself has to be told.
    more = {} if name == "pool" else {"id_slot": 0}
    asked = request(GUIDE, messages, OUTPUT_TOKENS, **more)
    return {state: seen(await ask(address, asked, TURN_S)) for state in ("cold", "warm")}
