"""llama.cpp, embedded: its server as a child process on a Unix socket, behind the Engine seam.

Embeddings come from models that say how to pool them.  Such a model answers nothing else, because its
requests would take the slots in which sessions live.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import psutil

from cluster.config import ModelConfig
from cluster.core.errors import ContextLengthExceeded, InvalidField
from cluster.core.events import Capacity, Feature, Locality
from cluster.core.ids import SessionKey
from cluster.core.slots import LLAMACPP_CHECKPOINTS
from cluster.deployments import constrained, embedder, formats, model_hash, partials, warmup
from cluster.deployments.engine import EngineFacts, Loading, Prompt
from cluster.deployments.llamacpp_model import Model, load_model
from cluster.deployments.llamacpp_process import LlamaProcess
from cluster.deployments.llamacpp_server import LlamaServer, Refused
from cluster.deployments.llamacpp_turn import FreeTurn, constrained_frames, failed
from cluster.deployments.neutral import Neutralizer
from cluster.deployments.slots import Slots
from cluster.wire import Embeddings, EmbedRequest, Failed, Frame, JsonObject, TurnRequest

CANCEL_TIMEOUT_S = 30.0
"""A slot that computes on for so long after its turn was cancelled is a fault of the engine."""


def free_memory_bytes() -> int:
    return psutil.virtual_memory().available


class LlamaCppEngine:
    """One GGUF in one llama.cpp.  `free_bytes`: asked once, when the engine starts.  `num_checkpoints`:
    earlier states that each slot may go back to."""

    def __init__(
        self,
        config: ModelConfig,
        free_bytes: Callable[[], int] = free_memory_bytes,
        num_checkpoints: int = LLAMACPP_CHECKPOINTS,
    ) -> None:
        self._config, self._free_bytes, self._num_checkpoints = config, free_bytes, num_checkpoints
        self._process = LlamaProcess()

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        progress(Loading("reading the model's header"))
        settled = self._config, self._free_bytes(), progress, self._num_checkpoints
        model = await asyncio.to_thread(load_model, *settled)
        self._partials = partials.of_gguf(model.file)
        self._neutral = Neutralizer(model.file.control_tokens)
        self._formats = formats.of_template(model.file.chat_template or "")
        self._slots = Slots(model.plan.num_slots)
        self._window = model.plan.window_tokens
        self._embeds = model.pooling is not None
        hashing = asyncio.create_task(asyncio.to_thread(model_hash.of_files, model.paths))
        speed = await warmup.start_and_measure(self._process, model, self._config, progress)
        self._openings = await self._think_openings()
        progress(Loading("hashing the model"))
        return self._facts(model, await hashing, speed)

    def _facts(self, model: Model, hashed: str, speed: warmup.Speed) -> EngineFacts:
        chat = frozenset({Feature.CHAT, Feature.GRAMMAR, Feature.MEASURE})
        plan = model.plan
        return EngineFacts(
            engine="llamacpp",
            model=self._config.name,
            model_hash=hashed,
            locality=Locality(self._config.locality),
            capacity=Capacity(plan.kv_tokens, plan.num_slots, plan.window_tokens),
            speed=speed,
            features=frozenset({Feature.EMBEDDINGS}) if self._embeds else chat,
            formats=self._formats,
            weights_bytes=plan.weights_bytes,
            kv_bytes=plan.kv_bytes,
        )

    async def _think_openings(self) -> tuple[tuple[int, ...], ...]:
        """How the prompts end whose template has begun the reasoning, in ids."""
        if formats.THINK not in self._formats:
            return ()
        told = [
            await self._server.tokenize(text, parse_special=True, is_start=False)
            for text in formats.THINK_OPENINGS
        ]
        return tuple(told)

    @property
    def _server(self) -> LlamaServer:
        return self._process.server

    async def prepare(self, request: TurnRequest) -> Prompt:
        _check(request)
        ids = await self._ids(request)
        if len(ids) >= self._window:
            raise ContextLengthExceeded(self._window, len(ids), request.max_tokens or 1)
        # Without ids, nobody takes it for an answer that could go on elsewhere.
        return Prompt(None if request.constrained else ids, len(ids))

    async def _ids(self, request: TurnRequest) -> tuple[int, ...]:
        if request.ids is not None:
            return request.ids
        if request.prompt is not None:
            return await self._server.tokenize(request.prompt, parse_special=False)
        return await self._server.tokenize(await self._render(request), parse_special=True)

    async def _render(self, request: TurnRequest) -> str:
        body: JsonObject = {"messages": self._neutral.objects(request.messages or ())}
        if request.tools and request.tool_choice != "none":
            body["tools"] = self._neutral.objects(request.tools)
        # Left unsaid, the server would tell the template that reasoning is off.
        body["chat_template_kwargs"] = {"enable_thinking": True, **request.template_options}
        try:
            rendered = await self._server.render(body)
        except Refused as fault:
            raise InvalidField(
                "messages", f"does not fit the model's chat template: {fault}.", "Change order or roles."
            ) from fault
        return rendered + (
            constrained.opening(request, rendered, self._formats) if request.constrained else ""
        )

    async def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        ids = prompt.ids if prompt.ids is not None else await self._ids(request)
        slot = self._slots.take(request.session)
        if slot is None:
            yield Failed(503, "no_room", "Every slot of the engine is busy.", prompt.tokens)
            return
        try:
            async with aclosing(self._frames(request, ids, slot)) as frames:
                async for frame in frames:
                    yield frame
        except Refused as fault:
            yield failed(fault, self._window, request.max_tokens)
        finally:
            await self._free(slot)

    def _frames(self, request: TurnRequest, ids: tuple[int, ...], slot: int) -> AsyncGenerator[Frame]:
        if request.constrained:
            return constrained_frames(self._server, ids, slot, request)
        # A continuation's reasoning was opened in its first part.
        opens = request.messages is not None and any(ids[-len(end) :] == end for end in self._openings)
        opening = "<think>" if opens else ""
        return FreeTurn(self._server, self._partials, ids, slot, request, opening).frames()

    async def _free(self, slot: int) -> None:
        try:
            await self._server.wait_idle(slot, CANCEL_TIMEOUT_S)
        finally:
            self._slots.release(slot)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        if not self._embeds:
            raise InvalidField("model", f"`{request.model}` is made to converse.", "Name an embedding model.")
        inputs = [self._neutral.text(text) for text in request.inputs]
        return await embedder.embed(self._server.ask, inputs, self._window)

    async def evict(self, session: SessionKey) -> None:
        await asyncio.gather(*map(self._erase, self._slots.forget(session)))

    async def _erase(self, slot: int) -> None:
        try:
            await self._server.erase(slot)
        finally:
            self._slots.release(slot)

    async def died(self) -> str:
        return await self._process.died()

    async def stop(self) -> None:
        await self._process.stop()


def _check(request: TurnRequest) -> None:
    """Raises InvalidField for what this engine cannot do."""
    if request.has_images:
        raise InvalidField(
            "messages", f"holds an image, which `{request.model}` cannot see.", "Send text alone."
        )
    if request.constrained:
        constrained.schema_of(request)
