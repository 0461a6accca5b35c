"""MLX: our own small server around its batch generator, as a gang of child processes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from cluster.config import ModelConfig
from cluster.core.errors import ContextLengthExceeded, InvalidField
from cluster.core.facts import Capacity, Feature, Locality, Speed
from cluster.core.ids import SessionKey
from cluster.core.layout import EngineKind, Layout
from cluster.core.places import REFUSED_KV_TYPES
from cluster.core.slots import most_slots
from cluster.deployments import constrained, formats, hf_files, mlx_turn, mlx_warmup, model_hash
from cluster.deployments.engine import EngineFacts, EngineFault, EngineLost, Loading, Prompt
from cluster.deployments.engine_http import EngineHttp, Refused
from cluster.deployments.gang import Host
from cluster.deployments.mlx_process import MlxProcess
from cluster.deployments.mlx_server.settings import RankSettings
from cluster.deployments.neutral import Neutralizer
from cluster.wire import Embeddings, EmbedRequest, Failed, Frame, JsonObject, TurnRequest


class MlxEngine:
    """Ranks of `layout` on `hosts`, one each, rank 0 first."""

    def __init__(self, config: ModelConfig, layout: Layout, hosts: Sequence[Host]) -> None:
        self._config, self._layout = config, layout
        self._process = MlxProcess(hosts)
        self._num_ranks = len(hosts)

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        settings = _settings(self._config, self._layout, self._num_ranks)
        folder = await asyncio.to_thread(hf_files.find_folder, settings.model, progress)
        progress(Loading(f"loading {folder.name}"))
        try:
            async with asyncio.timeout(self._config.load_timeout_s):
                told, speed = await self._load(settings, folder, progress)
        except TimeoutError as fault:
            raise EngineFault(
                f"{settings.model} did not load within {self._config.load_timeout_s:.0f} s. "
                f"The ranks' last lines:\n{await self._process.tails()}\n",
                "Try a smaller model, or raise `load_timeout_s`.",
            ) from fault
        except (EngineLost, Refused) as fault:
            raise EngineFault(
                f"MLX loads {settings.model}, but computes nothing: {fault}. "
                f"The ranks' last lines:\n{await self._process.tails()}\n",
                "Try another engine for this model.",
            ) from fault
        progress(Loading("hashing the model"))
        hashed = await asyncio.to_thread(model_hash.of_folder, folder)
        return self._take_facts(settings, told, hashed, speed)

    async def _load(
        self, settings: RankSettings, folder: Path, progress: Callable[[Loading], None]
    ) -> tuple[JsonObject, Speed]:
        """What the engine tells of itself after its first turns, and how fast they were."""
        await self._process.start(settings, folder)
        told = await self._server.ask("GET", "/facts")
        self._formats = formats.of_template(told["template"])
        self._openings = await self._think_openings()
        progress(Loading("warming up"))
        speed = await mlx_warmup.measure(self._server, settings.window_tokens)
        return told | await self._server.ask("GET", "/metrics"), speed

    def _take_facts(self, settings: RankSettings, told: JsonObject, hashed: str, speed: Speed) -> EngineFacts:
        self._neutral = Neutralizer(told["control_tokens"])
        self._window = settings.window_tokens
        return EngineFacts(
            engine="mlx",
            model=self._config.name,
            model_hash=hashed,
            locality=Locality(self._config.locality),
            capacity=Capacity(
                settings.kv_tokens, settings.num_slots, settings.window_tokens, resident_holds_slot=False
            ),
            speed=speed,
            features=frozenset({Feature.CHAT, Feature.GRAMMAR, Feature.MEASURE}),
            formats=self._formats,
            # Each rank has about the same part.
            weights_bytes=told["weights_bytes"] * settings.num_ranks,
            kv_bytes=int(told["kv_token_bytes"] * settings.kv_tokens) * settings.num_ranks,
        )

    async def _think_openings(self) -> Sequence[tuple[int, ...]]:
        """How the prompts end whose template has begun the reasoning, in ids."""
        if formats.THINK not in self._formats:
            return ()
        return [await self._tokenize(text, parse_special=True) for text in formats.THINK_OPENINGS]

    @property
    def _server(self) -> EngineHttp:
        return self._process.server

    async def prepare(self, request: TurnRequest) -> Prompt:
        _check(request)
        ids = await self._ids(request)
        if not ids:
            raise InvalidField("prompt", "is empty.", "Send some text.")
        if len(ids) >= self._window:
            raise ContextLengthExceeded(self._window, len(ids), request.max_tokens or 1)
        # Without ids, nobody takes it for an answer that could go on elsewhere.
        return Prompt(None if request.constrained else ids, len(ids))

    async def _ids(self, request: TurnRequest) -> tuple[int, ...]:
        if request.ids is not None:
            return request.ids
        if request.prompt is not None:
            return await self._tokenize(request.prompt, parse_special=False)
        return await self._tokenize(await self._render(request), parse_special=True)

    async def _tokenize(self, text: str, *, parse_special: bool) -> tuple[int, ...]:
        # A rendered conversation has the start token already, where the template wants one.
        body = {"text": text, "parse_special": parse_special, "is_start": not parse_special}
        return tuple((await self._server.ask("POST", "/tokenize", body))["tokens"])

    async def _render(self, request: TurnRequest) -> str:
        body: JsonObject = {
            "messages": self._neutral.objects(request.messages or ()),
            "options": dict(request.template_options),
        }
        if request.tools and request.tool_choice != "none":
            body["tools"] = self._neutral.objects(request.tools)
        try:
            rendered = (await self._server.ask("POST", "/render", body))["prompt"]
        except Refused as fault:
            raise InvalidField(
                "messages", f"does not fit the model's chat template: {fault}.", "Change order or roles."
            ) from fault
        return rendered + (
            constrained.opening(request, rendered, self._formats) if request.constrained else ""
        )

    async def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        ids = prompt.ids if prompt.ids is not None else await self._ids(request)
        turn = mlx_turn.MlxTurn(self._server, request, ids, self._opening(request, ids))
        try:
            async with aclosing(turn.frames()) as frames:
                async for frame in frames:
                    yield frame
        except Refused as fault:
            yield _failed(fault, prompt.tokens)
        finally:
            await turn.free()

    def _opening(self, request: TurnRequest, ids: tuple[int, ...]) -> str:
        """What the template has written of the answer; a continuation's first part had it already."""
        opens = request.messages is not None and any(ids[-len(end) :] == end for end in self._openings)
        return "<think>" if opens else ""

    async def embed(self, request: EmbedRequest) -> Embeddings:
        raise InvalidField(
            "model",
            f"`{request.model}` runs on MLX, which makes no embeddings here.",
            "Name an embedding model that runs on llama.cpp or vLLM.",
        )

    async def evict(self, session: SessionKey) -> None:
        body = {"tenant": session.tenant, "session": mlx_turn.name_of(session)}
        await self._server.ask("POST", "/evict", body)

    async def died(self) -> str:
        return await self._process.died()

    async def stop(self) -> None:
        await self._process.stop()


def _settings(config: ModelConfig, layout: Layout, num_hosts: int) -> RankSettings:
    """Raises EngineFault for a layout that MLX cannot run."""
    num_ranks = layout.tensor_parallel * layout.pipeline_parallel
    if layout.tensor_parallel > 1 and layout.pipeline_parallel > 1:
        raise EngineFault(
            "MLX splits each layer, or the layers, over its ranks, not both.",
            "Set one of `tensor_parallel` and `pipeline_parallel` to 1.",
        )
    if num_ranks != num_hosts:
        raise EngineFault(f"{num_ranks} ranks on {num_hosts} hosts.", "Declare the model again.")
    if config.kv_type in REFUSED_KV_TYPES[EngineKind.MLX]:
        kept = f"`kv_type: {config.kv_type}`"
        raise EngineFault(
            f"MLX cannot keep quantised keys and values of several sequences at once ({kept}).",
            "Set `kv_type` to f16.",
        )
    return RankSettings(
        model=layout.source,
        rank=0,
        num_ranks=num_ranks,
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        kv_tokens=layout.context_tokens,
        num_slots=layout.num_slots or most_slots(EngineKind.MLX, config.slots),
        window_tokens=min(layout.window_tokens, layout.context_tokens),
        chunk_tokens=mlx_warmup.CHUNK_TOKENS,
        exact=config.kv_type == "f32",
        ready_timeout_s=config.load_timeout_s,
    )


def _check(request: TurnRequest) -> None:
    """Raises InvalidField for what this engine cannot do."""
    if request.has_images:
        raise InvalidField(
            "messages", f"holds an image, which `{request.model}` cannot see.", "Send text alone."
        )
    if request.constrained:
        constrained.schema_of(request)


def _failed(refused: Refused, prompt_tokens: int | None) -> Failed:
    if refused.kind == "no_room":
        return Failed(503, "no_room", str(refused), prompt_tokens)
    if 400 <= refused.status < 500:
        return Failed(400, "invalid_request", str(refused))
    return Failed(500, "server_error", f"The engine failed: {refused}")
