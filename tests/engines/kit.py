"""How the tests of the contract get at an engine, and what they do with it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from cluster.core.errors import ContextLengthExceeded
from cluster.core.ids import SessionKey
from cluster.deployments.engine import Engine, EngineFacts, Loading
from cluster.wire import Delta, Ended, Failed, Frame, Sampling, Tokens, TurnRequest

_numbers = count(1)
GREEDY = Sampling(temperature=0.0, seed=1)


@dataclass(frozen=True)
class EngineKit:
    """How the tests get at one kind of engine.

    `question`: its greedy answer has at least 12 tokens.  `num_running`: sequences that compute at the
    engine itself now.  `kill`: what a crash is.  `leftovers`: processes and files it would leave behind.
    `control_ids`: ids that only a template may put into a prompt; `control_words`: how people could write
    them.  `num_prefix_tokens`: how much of a first turn its second must find again.  `forgets`: an eviction
    takes effect at once; an engine that reuses idle memory by itself need not.  `start_s`: how long a start
    may take.  `twin`: a GGUF with the same weights, where the engine has any.
    """

    make: Callable[[], Engine]
    make_broken: Callable[[], Engine]
    question: str
    num_running: Callable[[Engine], Awaitable[int]]
    kill: Callable[[Engine], Awaitable[None]]
    leftovers: Callable[[Engine], Sequence[str]]
    control_ids: frozenset[int] = frozenset()
    control_words: tuple[str, ...] = ()
    num_prefix_tokens: int = 1
    forgets: bool = True
    start_s: float = 60.0
    twin: Path | None = None


@dataclass(frozen=True)
class Running:
    """An engine that has started, and what it said meanwhile."""

    engine: Engine
    facts: EngineFacts
    loadings: Sequence[Loading]


@asynccontextmanager
async def started(kit: EngineKit) -> AsyncGenerator[Running]:
    engine, loadings = kit.make(), list[Loading]()
    try:
        async with asyncio.timeout(kit.start_s):
            facts = await engine.start(loadings.append)
        yield Running(engine, facts, loadings)
    finally:
        await engine.stop()
        assert kit.leftovers(engine) == []


class Shared:
    """One engine for many tests: started for the first, and again after one that ended it."""

    def __init__(self, kit: EngineKit) -> None:
        self._kit = kit
        self._running: Running | None = None
        self._died: asyncio.Task[str] | None = None
        self._stack = AsyncExitStack()

    async def running(self) -> Running:
        if self._died is not None and self._died.done():
            await self.close()
        if self._running is None:
            self._running = await self._stack.enter_async_context(started(self._kit))
            self._died = asyncio.create_task(self._running.engine.died())
        return self._running

    async def close(self) -> None:
        await self._stack.aclose()
        if self._died is not None:
            self._died.cancel()
        self._running = self._died = None


@dataclass
class Answer:
    """All frames of one answer, sorted."""

    frames: list[Frame] = field(default_factory=list)

    @property
    def ids(self) -> tuple[int, ...]:
        tokens = (frame for frame in self.frames if isinstance(frame, Tokens))
        return tuple(number for frame in tokens for number in frame.ids)

    @property
    def text(self) -> str:
        parts = []
        for frame in self.frames:
            if isinstance(frame, Tokens):
                parts.append(frame.text)
            elif isinstance(frame, Delta):
                parts.append(frame.delta.get("content") or "")
        return "".join(parts)

    @property
    def ended(self) -> Ended:
        last = self.frames[-1]
        assert isinstance(last, Ended), last
        return last


def ask(text: str, session: str = "s", max_tokens: int | None = 24, tenant: str = "t") -> TurnRequest:
    return TurnRequest(
        turn=f"turn-{next(_numbers)}",
        session=SessionKey(tenant, session),
        model="any",
        messages=({"role": "user", "content": text},),
        max_tokens=max_tokens,
        sampling=GREEDY,
    )


async def answer(engine: Engine, request: TurnRequest) -> Answer:
    prompt = await engine.prepare(request)
    async with asyncio.timeout(60):
        return Answer([frame async for frame in engine.generate(request, prompt)])


async def begun(engine: Engine, request: TurnRequest) -> AsyncGenerator[Frame]:
    """An answer of which the first piece has been read."""
    frames = engine.generate(request, await engine.prepare(request))
    async with asyncio.timeout(60):
        while not isinstance(await anext(frames), Tokens | Delta):
            pass
    return frames


async def rest_of(frames: AsyncGenerator[Frame]) -> list[Frame]:
    return [frame async for frame in frames]


async def size_of(engine: Engine, request: TurnRequest) -> int:
    """The size of its prompt, whether the engine takes it or not."""
    try:
        return (await engine.prepare(request)).tokens or 0
    except ContextLengthExceeded as error:
        return error.prompt


def failed(answered: Answer) -> Failed:
    """The failure that an answer ended with."""
    last = answered.frames[-1]
    assert isinstance(last, Failed), last
    return last
