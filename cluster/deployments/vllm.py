"""vLLM: its OpenAI server as a gang of child processes, rank 0 on a Unix socket."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from cluster.config import ModelConfig
from cluster.core.errors import ContextLengthExceeded, InvalidField
from cluster.core.facts import Feature, Locality, Speed
from cluster.core.ids import SessionKey
from cluster.core.layout import Layout
from cluster.deployments import constrained, embedder, formats, model_hash, vllm_model, vllm_plan, vllm_warmup
from cluster.deployments.engine import EngineFacts, EngineFault, EngineLost, Loading, Prompt
from cluster.deployments.engine_http import Refused
from cluster.deployments.gang import Host
from cluster.deployments.neutral import Neutralizer
from cluster.deployments.overflow import read_overflow
from cluster.deployments.vllm_faults import in_short
from cluster.deployments.vllm_model import Model
from cluster.deployments.vllm_process import VllmProcess
from cluster.deployments.vllm_server import Metrics, VllmServer
from cluster.deployments.vllm_text import Text
from cluster.deployments.vllm_turn import VllmTurn, body_of, event_tokens
from cluster.wire import Embeddings, EmbedRequest, Failed, Frame, JsonObject, TurnRequest

CANCEL_TIMEOUT_S = 30.0
"""A sequence that computes on for so long after its turn was cancelled is a fault of the engine."""


class VllmEngine:
    """Ranks of `layout` on `hosts`; a host stands for all ranks of its node, and the first is this node."""

    def __init__(self, config: ModelConfig, layout: Layout, hosts: Sequence[Host]) -> None:
        self._config, self._layout = config, layout
        self._process = VllmProcess(hosts)
        self._secret = secrets.token_bytes(32)
        self._num_active = 0

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        progress(Loading("reading the model's files"))
        model = await asyncio.to_thread(vllm_model.read, self._layout.source, progress)
        hashing = asyncio.create_task(asyncio.to_thread(model_hash.of_folder, model.folder))
        try:
            async with asyncio.timeout(self._config.load_timeout_s):
                progress(Loading(f"loading {model.folder.name}"))
                num_nodes = len(self._process.hosts)
                await self._process.start(vllm_plan.plan(self._config, self._layout, model, num_nodes))
                progress(Loading("warming up"))
                speed = await self._measure(model)
                metrics = await self._server.metrics()
        except TimeoutError as fault:
            raise EngineFault(
                f"{model.folder} did not load within {self._config.load_timeout_s:.0f} s. Last lines:\n"
                f"{await self._process.tails()}\n",
                "Try a smaller model, or raise `load_timeout_s`.",
            ) from fault
        except (Refused, EngineLost) as fault:
            raise EngineFault(
                f"vLLM loads {model.folder}, but computes nothing: {fault}\n"
                f"{in_short(await self._process.tails())}\n",
                "Try another engine, or ranks on one node.",
            ) from fault
        progress(Loading("hashing the model"))
        return self._take_facts(model, await hashing, speed, metrics)

    async def _measure(self, model: Model) -> Speed:
        measure = vllm_warmup.measure_embedding if model.embeds else vllm_warmup.measure
        return await measure(self._server, vllm_plan.window_tokens(self._layout))

    def _take_facts(self, model: Model, hashed: str, speed: Speed, metrics: Metrics) -> EngineFacts:
        self._embeds = model.embeds
        self._neutral = Neutralizer(model.control_tokens)
        self._formats = formats.of_template(model.template)
        self._text = Text(model.folder)
        self._window = vllm_plan.window_tokens(self._layout)
        self._event_tokens = event_tokens(speed.decode_tps)
        num_slots = vllm_plan.num_slots(self._config, self._layout)
        chat = frozenset({Feature.CHAT, Feature.GRAMMAR, Feature.MEASURE})
        return EngineFacts(
            engine="vllm",
            model=self._config.name,
            model_hash=hashed,
            locality=Locality(self._config.locality),
            capacity=vllm_plan.capacity(metrics, self._window, num_slots),
            speed=speed,
            features=frozenset({Feature.EMBEDDINGS}) if self._embeds else chat,
            formats=self._formats,
            weights_bytes=model.variant.weights_bytes,
            kv_bytes=vllm_plan.num_ranks(self._layout) * metrics.kv_bytes_of_rank,
        )

    @property
    def _server(self) -> VllmServer:
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
            return await self._server.tokenize(self._neutral.text(request.prompt))
        ids = await self._render(request)
        if not request.constrained:
            return ids
        opening = constrained.opening(request, self._text.end_of(ids), self._formats)
        return (*ids, *(await self._server.tokenize(opening, is_start=False) if opening else ()))

    async def _render(self, request: TurnRequest) -> tuple[int, ...]:
        body: JsonObject = {"messages": self._neutral.objects(request.messages or ())}
        if request.tools and request.tool_choice != "none":
            body["tools"] = self._neutral.objects(request.tools)
        if request.template_options:
            body["chat_template_kwargs"] = dict(request.template_options)
        try:
            return tuple((await self._server.ask("POST", "/tokenize", body))["tokens"])
        except Refused as fault:
            raise InvalidField(
                "messages", f"does not fit the model's chat template: {fault}.", "Change order or roles."
            ) from fault

    async def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        ids = prompt.ids if prompt.ids is not None else await self._ids(request)
        self._num_active += 1
        turn, is_over = self._turn(request, ids), False
        try:
            async with aclosing(turn.frames()) as frames:
                async for frame in frames:
                    yield frame
        except EngineLost:
            is_over = True
            raise
        except Refused as fault:
            is_over = True
            yield failed(fault, self._window, len(ids), request.max_tokens)
        finally:
            self._num_active -= 1
            if not (is_over or turn.has_ended):
                await self._server.wait_idle(lambda: self._num_active, CANCEL_TIMEOUT_S)

    def _turn(self, request: TurnRequest, ids: tuple[int, ...]) -> VllmTurn:
        salt = self._salt(request.session.tenant)
        is_cut = self._text.is_cut(ids)
        body = body_of(request, ids, self._window, salt, is_cut=is_cut, event_tokens=self._event_tokens)
        # A continuation's reasoning was opened in its first part.
        opens = request.messages is not None and self._text.opens_thinking(ids)
        stop = () if request.constrained else request.sampling.stop
        answer = self._text.answer(ids, stop)
        return VllmTurn(self._server, request, body, answer, "<think>" if opens else "")

    def _salt(self, tenant: str) -> str:
        """Prefixes are found again by the same tenant alone; nobody can guess another's."""
        return hmac.new(self._secret, tenant.encode(), hashlib.sha256).hexdigest()

    async def embed(self, request: EmbedRequest) -> Embeddings:
        if not self._embeds:
            raise InvalidField("model", f"`{request.model}` is made to converse.", "Name an embedding model.")
        inputs = [self._neutral.text(text) for text in request.inputs]
        return await embedder.embed(self._server.ask, inputs, self._window)

    async def evict(self, session: SessionKey) -> None:
        """Nothing to do: vLLM gives a finished sequence's blocks to whoever needs them, the oldest first."""

    async def died(self) -> str:
        return await self._process.died()

    async def stop(self) -> None:
        await self._process.stop()


def failed(refused: Refused, window_tokens: int, prompt_tokens: int, max_tokens: int | None) -> Failed:
    """An engine's own error in the words of the contract."""
    if 400 <= refused.status < 500:
        if read_overflow(str(refused)) is None:
            return Failed(400, "invalid_request", str(refused))
        fault = ContextLengthExceeded(window_tokens, prompt_tokens, max_tokens or 1)
        return Failed(fault.status, fault.code, fault.message, prompt_tokens)
    return Failed(500, "server_error", f"The engine failed: {refused}")


def _check(request: TurnRequest) -> None:
    """Raises InvalidField for what this engine cannot do."""
    if request.has_images:
        raise InvalidField(
            "messages", f"holds an image, which `{request.model}` cannot see.", "Send text alone."
        )
    if request.constrained:
        constrained.schema_of(request)
