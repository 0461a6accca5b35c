"""vLLM: its OpenAI server as a gang of child processes, rank 0 on a Unix socket."""

from collections.abc import AsyncGenerator, Callable, Sequence

from cluster.config import ModelConfig
from cluster.core.ids import SessionKey
from cluster.core.layout import Layout
from cluster.deployments.engine import EngineFacts, EngineFault, Loading, Prompt
from cluster.deployments.gang import Host
from cluster.wire import Embeddings, EmbedRequest, Frame, TurnRequest


class VllmEngine:
    """Ranks of `layout` on `hosts`, one each, rank 0 first."""

    def __init__(self, config: ModelConfig, layout: Layout, hosts: Sequence[Host]) -> None:
        self._config, self._layout, self._hosts = config, layout, hosts

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        raise EngineFault("This engine is not built yet.", "Use llamacpp.")

    async def prepare(self, request: TurnRequest) -> Prompt:
        raise NotImplementedError

    def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        raise NotImplementedError

    async def embed(self, request: EmbedRequest) -> Embeddings:
        raise NotImplementedError

    async def evict(self, session: SessionKey) -> None: ...

    async def died(self) -> str:
        raise NotImplementedError

    async def stop(self) -> None: ...
