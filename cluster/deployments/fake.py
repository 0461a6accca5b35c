"""An engine that computes nothing: for tests, benches, and a look at a pool without a model.

It is deterministic, keeps the books of a real engine (shared KV memory, slots, resident prefixes), checks
itself that it is never over capacity, runs at the speed it is told, and fails when it is told.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import takewhile
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cluster.core.errors import ContextLengthExceeded, InputTooLong, InvalidField
from cluster.core.facts import Capacity, Feature, Locality, Speed
from cluster.core.ids import SessionKey
from cluster.deployments import constrained, fake_rank, fake_text
from cluster.deployments.engine import EngineFacts, EngineFault, EngineLost, Loading, Prompt
from cluster.deployments.gang import Gang, Host
from cluster.wire import (
    Delta,
    Embeddings,
    EmbedRequest,
    Ended,
    Failed,
    Frame,
    Progress,
    Tokens,
    TurnRequest,
)

Sleep = Callable[[float], Awaitable[None]]
Count = Annotated[int, Field(ge=1)]
Speeds = Annotated[float, Field(gt=0)]


class FakeSettings(BaseModel):
    """`answer` None: an echo of the last user message; `answers`: scripted ones, by that message.

    Speeds in tokens a second; None: at once.  `free_s`: how long a sequence takes to be free again.
    `die_after_tokens`, `hang_after_tokens`: counted in each answer.  `fail_start`: why it cannot start;
    `hang_start`: it never is ready, and never says why.  `memory_bytes`: what it is taken to hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "fake"
    locality: Locality = Locality.LOCAL
    kv_tokens: Count = 8192
    num_slots: Count = 4
    window_tokens: Count = 8192
    block_tokens: Count = 1
    resident_holds_slot: bool = True
    features: frozenset[Feature] = frozenset({Feature.CHAT, Feature.EMBEDDINGS, Feature.MEASURE})
    formats: tuple[str, ...] = ()
    answer: str | None = None
    answers: dict[str, str] = {}
    prefill_tps: Speeds | None = None
    decode_tps: Speeds | None = None
    batch_tokens: Count = 512
    start_s: float = 0.0
    free_s: float = 0.0
    memory_bytes: Count = 16 * 2**20
    fail_start: str | None = None
    hang_start: bool = False
    die_after_tokens: int | None = None
    hang_after_tokens: int | None = None


class FakeEngine:
    """See the module.  `sleep` is the only way in which it waits, so a test may hold its clock.

    On several `hosts` it starts a process for each rank, which does nothing but live: a gang that loses one
    is as dead as any other.
    """

    def __init__(
        self,
        settings: FakeSettings | None = None,
        sleep: Sleep = asyncio.sleep,
        hosts: Sequence[Host] = (),
    ) -> None:
        self.settings = settings or FakeSettings()
        self.num_over_capacity = 0
        self.running: list[list[int]] = []
        self.idle: dict[SessionKey, list[int]] = {}
        self._sessions: list[SessionKey] = []
        self._sleep = sleep
        self._death: asyncio.Future[str] = asyncio.Future()
        self._gang = Gang(hosts) if len(hosts) > 1 else None
        self._watching: asyncio.Task[None] | None = None

    @property
    def used_tokens(self) -> int:
        """KV memory in use, idle sessions included."""
        return sum(map(len, self.running)) + sum(map(len, self.idle.values()))

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        await self._start_ranks()
        for fraction in (0.0, 0.5, 1.0):
            progress(Loading("loading", fraction))
            if self.settings.start_s:
                await self._sleep(self.settings.start_s / 3)
        if self.settings.fail_start is not None:
            raise EngineFault(self.settings.fail_start, "Take `fail_start` out of its settings.")
        if self.settings.hang_start:
            await asyncio.shield(self._death)
        return self._facts()

    async def _start_ranks(self) -> None:
        if self._gang is not None:
            num = len(self._gang.hosts)
            await self._gang.start([fake_rank.command(number, num) for number in range(num)])
            self._watching = asyncio.create_task(self._watch(self._gang))

    async def _watch(self, gang: Gang) -> None:
        self.die(await gang.died())

    def _facts(self) -> EngineFacts:
        told = self.settings
        return EngineFacts(
            engine="fake",
            model=told.model,
            model_hash=hashlib.sha256(f"fake {told.answer} {told.answers}".encode()).hexdigest(),
            locality=told.locality,
            capacity=Capacity(
                told.kv_tokens,
                told.num_slots,
                told.window_tokens,
                told.block_tokens,
                told.resident_holds_slot,
            ),
            speed=Speed(told.prefill_tps or 100_000.0, told.decode_tps or 10_000.0),
            features=told.features,
            formats=told.formats,
        )

    async def prepare(self, request: TurnRequest) -> Prompt:
        if request.constrained and Feature.GRAMMAR not in self.settings.features:
            raise InvalidField("response_format", "this model has no grammar.", "Leave it out.")
        if request.has_images and Feature.IMAGES not in self.settings.features:
            raise InvalidField("messages", "this model takes no images.", "Send text alone.")
        ids = fake_text.render(request)
        if len(ids) >= self.settings.window_tokens:
            raise ContextLengthExceeded(self.settings.window_tokens, len(ids), request.max_tokens or 1)
        return Prompt(None if request.constrained else ids, len(ids))

    async def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        self._alive()
        ids = prompt.ids or fake_text.render(request)
        cached = self._take_prefix(request.session, ids)
        sequence = list(ids[:cached])
        self.running.append(sequence)
        self._sessions.append(request.session)
        try:
            async with aclosing(self._compute(request, ids, sequence, cached)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            await self._free(request.session, sequence)

    def _take_prefix(self, session: SessionKey, ids: tuple[int, ...]) -> int:
        """Tokens of the prompt that need not be computed; at least one always is."""
        resident = self.idle.pop(session, [])
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(resident, ids, strict=False)))
        return min(same, len(ids) - 1)

    async def _free(self, session: SessionKey, sequence: list[int]) -> None:
        if self.settings.free_s:
            await self._sleep(self.settings.free_s)
        place = next(at for at, running in enumerate(self.running) if running is sequence)
        del self.running[place], self._sessions[place]
        if sequence and session not in self._sessions:
            self.idle[session] = sequence

    async def _compute(
        self, request: TurnRequest, ids: tuple[int, ...], sequence: list[int], cached: int
    ) -> AsyncGenerator[Frame]:
        yield Progress(cached, len(ids), cached)
        for start in range(cached, len(ids), self.settings.batch_tokens):
            batch = ids[start : start + self.settings.batch_tokens]
            await self._spend(len(batch), self.settings.prefill_tps)
            sequence += batch
            yield Progress(len(sequence), len(ids), cached)
        generated, said, is_call = 0, "", constrained.forces_tool(request)
        for token, text in self._answer(request, ids):
            if generated == request.max_tokens or len(sequence) >= self.settings.window_tokens:
                yield Ended("length", len(ids), cached, generated)
                return
            await self._fail_when_told(generated)
            await self._spend(1, self.settings.decode_tps)
            sequence.append(token)
            if self._is_over_capacity():
                yield Failed(500, "over_capacity", "the fake engine's KV memory is over-committed")
                return
            generated += 1
            said += text
            if not is_call:
                yield Delta({"content": text}) if request.constrained else Tokens((token,), text)
        if is_call:
            yield Delta(constrained.tool_delta(said, request.turn) or {"content": said})
        yield Ended("tool_calls" if is_call else "stop", len(ids), cached, generated)

    def _answer(self, request: TurnRequest, ids: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        told = self.settings
        whole, begun = fake_text.answer_to(ids, told.answer, told.answers, request.sampling.stop)
        text = fake_text.Utf8(whole[:begun])
        for token in whole[begun:]:
            yield token, text.feed(bytes([token]))

    def _is_over_capacity(self) -> bool:
        idle = len(self.idle) if self.settings.resident_holds_slot else 0
        slots = len(self.running) + idle
        over = self.used_tokens > self.settings.kv_tokens or slots > self.settings.num_slots
        self.num_over_capacity += over
        return over

    async def _fail_when_told(self, generated: int) -> None:
        if generated == self.settings.die_after_tokens:
            self.die(f"told to die after {generated} tokens")
        if generated == self.settings.hang_after_tokens:
            await asyncio.shield(self._death)
        self._alive()

    async def _spend(self, num_tokens: int, tps: float | None) -> None:
        if tps is None:
            await asyncio.sleep(0)
        else:
            await self._sleep_or_die(num_tokens / tps)
        self._alive()

    async def _sleep_or_die(self, seconds: float) -> None:
        asleep = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({asleep, self._death}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asleep.cancel()

    def _alive(self) -> None:
        if self._death.done():
            raise EngineLost(self._death.result())

    async def embed(self, request: EmbedRequest) -> Embeddings:
        self._alive()
        if Feature.EMBEDDINGS not in self.settings.features:
            raise InvalidField("model", "this model makes no embeddings.", "Use one that does.")
        if max(len(text.encode()) for text in request.inputs) >= self.settings.window_tokens:
            raise InputTooLong(self.settings.window_tokens)
        sums = [hashlib.sha256(text.encode()).digest()[:8] for text in request.inputs]
        vectors = tuple(tuple(byte / 255 for byte in row) for row in sums)
        return Embeddings(vectors, sum(len(text.encode()) for text in request.inputs))

    async def evict(self, session: SessionKey) -> None:
        self.idle.pop(session, None)

    def die(self, reason: str) -> None:
        """What a crash is to a real engine."""
        if not self._death.done():
            self._death.set_result(reason)

    async def died(self) -> str:
        return await asyncio.shield(self._death)

    async def stop(self) -> None:
        self.die("stopped")
        if self._gang is not None:
            await self._gang.stop()
        if self._watching is not None:
            await self._watching
