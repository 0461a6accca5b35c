"""`python -m bench.engines.job`: measures one engine from a process of its own, near the gateway.

A job comes as one line of JSON on stdin; rows go to stdout as JSON lines.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from bench.engines.direct import DIRECT, Direct, num_preemptions, seen
from bench.engines.settings import EngineSettings
from bench.first_light.turn import TURN_S, request
from bench.harness.client import Address, ask, connect
from bench.harness.prompts import WORDS, Messages, prompts

Row = dict[str, Any]
SIDES = ("pool", "engine")


def pool_text(event: Row) -> str:
    delta = event["choices"][0]["delta"] if event.get("choices") else {}
    return delta.get("reasoning_content") or delta.get("content") or ""


@dataclass(frozen=True, slots=True)
class Job:
    """One engine: `model` at the pool's gateway, and `engine`, its own Unix socket."""

    model: str
    kind: str
    gateway: Address
    engine: Address
    settings: EngineSettings

    @property
    def direct(self) -> Direct:
        return DIRECT[self.kind]

    async def run(self) -> None:
        """Both sides in turns, never at once; who goes first alternates."""
        for seed in self.settings.seeds:
            await self._greedy(seed)
            await self._sessions(seed)
            await self._ttft(seed)
            for repeat in range(self.settings.repeats):
                for side in SIDES if repeat % 2 else reversed(SIDES):
                    asked = self._prompts(f"burst {seed} {repeat} {side}", self.settings.burst_turns)
                    where = {"side": side, "seed": seed, "repeat": repeat}
                    tell("burst", **where, turns=await self._at_once(side, asked, self.settings.burst_tokens))

    async def flood(self) -> None:
        """As `run`, more than its KV memory holds; with what the engine says of its preemptions."""
        for seed in self.settings.seeds:
            for repeat in range(self.settings.flood_repeats):
                for side in SIDES if repeat % 2 else reversed(SIDES):
                    asked = self._prompts(f"flood {seed} {repeat} {side}", self.settings.flood_turns)
                    before = await num_preemptions(self.engine)
                    turns = await self._at_once(side, asked, self.settings.flood_tokens)
                    num = await num_preemptions(self.engine) - before
                    tell("flood", side=side, seed=seed, repeat=repeat, preemptions=num, turns=turns)

    def _prompts(self, salt: str, num: int) -> list[Messages]:
        seed = int.from_bytes(salt.encode()[-12:], "little") % 2**31
        return prompts(self.settings.data, seed, num, self.settings.prompt_words)

    async def _greedy(self, seed: int) -> None:
        for at, messages in enumerate(self._prompts(f"greedy {seed}", self.settings.greedy_prompts)):
            texts = {
                side: (await self._one(side, messages, self.settings.greedy_tokens))["text"] for side in SIDES
            }
            tell("greedy", seed=seed, prompt=at, pool_text=texts["pool"], engine_text=texts["engine"])

    async def _sessions(self, seed: int) -> None:
        """Two turns of a session each; the second says how much of its prompt was computed again."""
        for messages in self._prompts(f"session {seed}", self.settings.sessions):
            words = messages[0]["content"].split()
            while len(" ".join(words)) < self.settings.session_tokens:
                words.append(WORDS[len(words) % len(WORDS)])
            conversation = [{"role": "user", "content": " ".join(words)}]
            first = await self._usage(conversation)
            more = [{"role": "assistant", "content": first["text"]}, {"role": "user", "content": "And then?"}]
            second = await self._usage(conversation + more)
            tell("session", seed=seed, first=first, second=second)

    async def _usage(self, messages: Messages) -> Row:
        reply = await ask(self.gateway, request(self.model, messages, 16), TURN_S)
        usage = next(event["usage"] for _, event in reversed(reply.events) if event.get("usage"))
        text = "".join(pool_text(event) for _, event in reply.events)
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return {"text": text, "prompt_tokens": usage["prompt_tokens"], "cached_tokens": cached}

    async def _ttft(self, seed: int) -> None:
        num = self.settings.ttft_samples
        asked = {side: self._prompts(f"ttft {seed} {side}", num + 1) for side in SIDES}
        for at in range(num + 1):
            for side in SIDES if at % 2 else reversed(SIDES):
                row = await self._one(side, asked[side][at], 4)
                if at:  # the first warms what is made once
                    tell("ttft", side=side, seed=seed, sample=at, first_token_s=row["first_token_s"])

    async def _one(self, side: str, messages: Messages, max_tokens: int) -> Row:
        return (await self._at_once(side, [messages], max_tokens))[0]

    async def _at_once(self, side: str, asked: list[Messages], max_tokens: int) -> list[Row]:
        if side == "pool":
            bodies = [request(self.model, messages, max_tokens) for messages in asked]
        else:
            ids = [await self.direct.ids(self.engine, messages) for messages in asked]
            bodies = [self.direct.request(each, max_tokens) for each in ids]
        address = self.gateway if side == "pool" else self.engine
        connections = [await connect(address) for _ in bodies]
        for connection, body in zip(connections, bodies, strict=True):
            connection.send(body)
        replies = await asyncio.gather(*(connection.reply(TURN_S) for connection in connections))
        text_of = pool_text if side == "pool" else self.direct.text_of
        return [{**seen(reply, text_of), "tokens": max_tokens} for reply in replies]


def tell(kind: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    print(json.dumps({"kind": kind, **fields}), flush=True)


def main() -> None:
    told = json.loads(sys.stdin.readline())
    gateway = (told["gateway"][0], told["gateway"][1])
    settings = EngineSettings.model_validate(told["settings"])
    job = Job(told["model"], told["kind"], gateway, told["engine"], settings)
    asyncio.run(job.flood() if told["is_flood"] else job.run())


if __name__ == "__main__":
    main()
