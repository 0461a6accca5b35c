"""The seam behind which every engine stands: embedded, gang, upstream or fake.

The front owns the ledger and faces the network; an engine only computes.  The contract every engine has
to pass is executable: tests/engines/contract.py.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.core.facts import Capacity, Feature, Locality, Speed
from cluster.core.ids import SessionKey
from cluster.wire import Embeddings, EmbedRequest, Frame, TurnRequest


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine knows of itself once it is warm.

    `model_hash`: weights, chat template and tokenizer; answers may go on between equal hashes only.
    `formats`: the names of the model's own ways to write reasoning and tool calls, for the parser.
    `weights_bytes`, `kv_bytes`: memory the engine holds, 0 where it does not tell.
    """

    engine: str
    model: str
    model_hash: str
    locality: Locality
    capacity: Capacity
    speed: Speed
    features: frozenset[Feature]
    formats: tuple[str, ...] = ()
    weights_bytes: int = 0
    kv_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Loading:
    """Progress of a start, for people: `fraction` 0..1 or None where it cannot be known."""

    stage: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A turn as the engine will see it.  `ids` None: the engine renders by itself (upstreams, constrained
    turns); `tokens` then is None where even the size is unknown."""

    ids: tuple[int, ...] | None
    tokens: int | None


class Engine(Protocol):
    """One engine, from start to stop.  Methods may be called from one event loop only."""

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        """Loads, warms up, measures.  Raises EngineFault with a remedy."""
        ...

    async def prepare(self, request: TurnRequest) -> Prompt:
        """Renders and tokenizes, with chat-template tokens in people's text made harmless.

        Raises InvalidRequest for what this engine cannot do.
        """
        ...

    def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        """Progress, then Tokens or Delta, then one Ended or Failed; never Started, which is the front's.

        Closing the generator cancels at the engine and returns only when its sequence is free again.
        Raises EngineLost when the engine dies under it.
        """
        ...

    async def embed(self, request: EmbedRequest) -> Embeddings: ...

    async def evict(self, session: SessionKey) -> None:
        """Forgets the idle session's KV; unknown sessions are no fault."""
        ...

    async def died(self) -> str:
        """Returns, with the reason, when the engine is no more; runs as long as it lives."""
        ...

    async def stop(self) -> None:
        """Ends the engine and all its processes.  May be called in any state, and twice."""
        ...


class EngineFault(Exception):
    """The engine cannot start or answer.  `remedy` says what a person can do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


class EngineLost(Exception):
    """The engine died while it answered."""
