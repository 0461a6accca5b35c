"""Many turns at once into a replica with few slots, and the same into its engine directly."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.first_light import engine as engines
from bench.first_light.ledger import Ledger
from bench.first_light.settings import MODEL, FirstLightSettings
from bench.first_light.turn import TURN_S, request, seen
from bench.harness.client import Address, Reply, ask, connect, get
from bench.harness.pool import Pool, cpu_seconds
from bench.harness.prompts import Messages, prompts
from bench.harness.record import Recorder

SETTLE_S = 0.6
"""The router writes its journal down four times a second."""


@dataclass(frozen=True, slots=True)
class Burst:
    settings: FirstLightSettings
    pool: Pool
    engine: Address
    ledger: Ledger
    record: Recorder

    async def measure(self) -> None:
        """Both sides in turns, never at once; who goes first alternates."""
        num = 0
        for seed in self.settings.seeds:
            for repeat in range(self.settings.repeats):
                for side in ("pool", "engine") if num % 2 else ("engine", "pool"):
                    await self._one(side, seed, repeat)
                num += 1

    async def _one(self, side: str, seed: int, repeat: int) -> None:
        where = {"side": side, "seed": seed, "repeat": repeat}
        asked = prompts(
            self.settings.data, seed * 1000 + repeat, self.settings.turns, self.settings.prompt_words
        )
        await engines.forget_all(self.engine, self.settings.slots)
        processes = self.pool.processes()
        before, began = cpu_seconds(processes), time.monotonic()
        if side == "pool":
            async with self._sampled(where):
                replies = await self._flood(self.pool.http, asked)
        else:
            replies = await self._flood(self.engine, asked)
        after, ended = cpu_seconds(processes), time.monotonic()
        for at, reply in enumerate(replies):
            self.record.add("turn", **where, turn=at, **seen(reply))
        spent = {role: round(after[role] - before[role], 3) for role in before}
        self.record.add("burst", **where, began_s=began, ended_s=ended, cpu_s=spent)
        if side == "pool":
            await asyncio.sleep(SETTLE_S)
            for row in self.ledger.rows(began, ended):
                self.record.add("ledger", **where, **row)

    async def _flood(self, address: Address, asked: list[Messages]) -> list[Reply]:
        requests = [request(MODEL, messages, self.settings.output_tokens) for messages in asked]
        connections = [await connect(address) for _ in requests]
        for connection, body in zip(connections, requests, strict=True):
            connection.send(body)
        return list(await asyncio.gather(*(connection.reply(TURN_S) for connection in connections)))

    @asynccontextmanager
    async def _sampled(self, where: dict) -> AsyncGenerator[None]:
        sampling = asyncio.create_task(self._sample(where))
        try:
            yield
        finally:
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling

    async def _sample(self, where: dict) -> None:
        """What the engine and the front's ledger hold, again and again."""
        front = self.ledger.front()
        while True:
            told = await engines.slots(self.engine)
            ledger = json.loads((await ask(front, get("/leases"))).body)
            self.record.add(
                "sample",
                **where,
                busy_slots=sum(slot["is_processing"] for slot in told),
                # Tokens whose KV the slots hold, those of idle sessions included.
                kv_tokens=sum(slot.get("n_prompt_tokens", 0) for slot in told),
                deferred=await engines.num_deferred(self.engine),
                **ledger,
            )
            await asyncio.sleep(self.settings.sample_s)
