"""A router whose models are in the states that a test gives them, for tests of what people see of that."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.core.commands import ToGateway
from cluster.core.events import Event, GatewayUp, LoadAsked, UnloadAsked
from cluster.core.facts import Feature, Locality
from cluster.core.ids import GatewayId
from cluster.core.view import ModelStatus, PoolView
from cluster.ports import Delivery, GatewayPort
from tests.support.routers import ListeningRouter

GIB = 1024**3
UNLOADED = ModelStatus(
    "qwen3-8b", "unloaded", Locality.LOCAL, 0, frozenset({Feature.CHAT}), 0, managed=True, keep_warm=True
)
LOADING = replace(
    UNLOADED,
    state="loading",
    engine="llamacpp",
    quantisation="q4_k_m",
    nodes=("studio",),
    memory_bytes=9 * GIB,
    flags=frozenset({"small"}),
    stage="reading weights",
    fraction=0.4,
    wanted=True,
)
READY = replace(
    LOADING,
    state="ready",
    stage="",
    fraction=None,
    wanted=False,
    window_tokens=32_768,
    num_replicas=1,
    num_running=2,
)
FAILED = replace(UNLOADED, state="failed", reason="It needs 90 GiB and the nodes have 16 GiB. Add a machine.")
NO_ROOM = replace(
    UNLOADED, wanted=True, fits=False, reason="qwen3-8b fits nowhere: it needs 90 GiB, and studio has 16 GiB."
)
UPSTREAM = ModelStatus("llama3.2", "ready", Locality.HOSTED, 8192, frozenset({Feature.CHAT}), 1)


class Lives(ListeningRouter):
    """A RouterPort.  LoadAsked makes an unloaded model `when_asked`; UnloadAsked makes it unloaded."""

    def __init__(self, *models: ModelStatus, when_asked: ModelStatus = LOADING) -> None:
        super().__init__()
        self.models = {model.model: model for model in models}
        self._when_asked = when_asked
        self._port: GatewayPort | None = None

    def show(self, *models: ModelStatus) -> None:
        self.models |= {model.model: model for model in models}

    async def attach(self, gateway: GatewayId, port: GatewayPort) -> int:
        self._port = port
        return self.epoch

    async def tell(self, *commands: ToGateway) -> None:
        """Sends the gateway commands, as the machine's."""
        assert self._port is not None
        await self._port.deliver(self.epoch, [Delivery(command) for command in commands])

    async def post(self, events: Sequence[Event]) -> int:
        for event in events:
            if isinstance(event, LoadAsked) and self.models[event.model].state in ("unloaded", "failed"):
                self.show(replace(self._when_asked, model=event.model))
            if isinstance(event, UnloadAsked):
                self.show(replace(UNLOADED, model=event.model))
        return await super().post([event for event in events if not isinstance(event, GatewayUp)])

    async def view(self) -> PoolView:
        return replace(await super().view(), models=tuple(self.models.values()))
