"""A model of an OpenAI-compatible `/v1` that runs already, behind the Engine seam.

It renders and tokenizes by itself, hides its memory, and cannot go on with another replica's answer.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from cluster.config import UpstreamConfig
from cluster.core.errors import InputTooLong, InvalidField, InvalidRequest
from cluster.core.events import Capacity, Feature, Locality, Speed
from cluster.core.ids import SessionKey
from cluster.deployments import formats, sse
from cluster.deployments.engine import EngineFacts, EngineFault, EngineLost, Loading, Prompt
from cluster.deployments.upstream_facts import ASSUMED_WINDOW_TOKENS, UpstreamFacts, discover
from cluster.deployments.upstream_stream import StreamReader, UpstreamError, failure
from cluster.wire import Embeddings, EmbedRequest, Frame, JsonObject, TurnRequest

ASSUMED_SPEED = Speed(prefill_tps=1000.0, decode_tps=30.0)
"""Until turns have shown the real one."""

ANSWER_TIMEOUT_S = 15.0
SILENCE_TIMEOUT_S = 600.0
LOOK_EVERY_S = 5.0
LOOKS_BEFORE_LOST = 3


class UpstreamEngine:
    """One model of one upstream.  `model`: its name there."""

    def __init__(
        self,
        config: UpstreamConfig,
        model: str,
        environ: Mapping[str, str] = os.environ,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._config, self._model, self._environ = config, model, environ
        self._look_every_s = look_every_s
        self._root = config.url.rstrip("/").removesuffix("/v1")
        self._http: aiohttp.ClientSession | None = None
        self._told = UpstreamFacts()
        self._window = config.context_tokens or ASSUMED_WINDOW_TOKENS

    async def start(self, progress: Callable[[Loading], None]) -> EngineFacts:
        progress(Loading(f"asking {self._config.url}"))
        headers = self._headers()
        # A kept connection may be closed at the other end just as a turn is sent on it.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._http = aiohttp.ClientSession(headers=headers, connector=connector)
        entry = await self._entry()
        self._told = await discover(entry, self._model, self._ask_or_none)
        self._window = self._config.context_tokens or self._told.window_tokens or ASSUMED_WINDOW_TOKENS
        is_local = self._model in self._config.local_models
        slots = self._config.max_concurrency
        return EngineFacts(
            engine="upstream",
            model=self._model,
            model_hash=f"upstream:{self._config.name}:{self._model}",
            locality=Locality.LOCAL if is_local else Locality.HOSTED,
            capacity=Capacity(
                slots * self._window, slots, self._window, resident_holds_slot=False, estimated=True
            ),
            speed=ASSUMED_SPEED,
            features=self._told.features,
            formats=(formats.THINK,),
        )

    def _headers(self) -> dict[str, str]:
        name = self._config.api_key_env
        if name is None:
            return {}
        key = self._environ.get(name)
        if not key:
            raise EngineFault(
                f"The key of the upstream {self._config.name} is not set.", f"Set {name} in the environment."
            )
        return {"Authorization": f"Bearer {key}"}

    async def _entry(self) -> JsonObject:
        try:
            listed = await self._ask("GET", "/v1/models")
        except (UpstreamError, EngineLost) as fault:
            raise EngineFault(
                f"The upstream {self._config.name} at {self._config.url} does not list its models: {fault}.",
                "Start it, or correct `upstreams[].url` and its key.",
            ) from fault
        entries = {entry.get("id"): entry for entry in listed.get("data", [])}
        if self._model not in entries:
            there = ", ".join(sorted(map(str, entries))[:12]) or "none"
            raise EngineFault(
                f"The upstream {self._config.name} has no model {self._model!r}; it has: {there}.",
                "Load it there, or name one of these in `upstreams[].models`.",
            )
        return entries[self._model]

    async def _ask(self, method: str, path: str, body: JsonObject | None = None) -> Any:  # noqa: ANN401
        """Raises UpstreamError and EngineLost."""
        timeout = aiohttp.ClientTimeout(ANSWER_TIMEOUT_S)
        try:
            async with self._session.request(method, self._url(path), json=body, timeout=timeout) as response:
                await _check(response)
                return await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise EngineLost(f"{type(fault).__name__}") from fault

    def _url(self, path: str) -> str:
        """The `/v1` is where the config says; other places are beside it."""
        if path.startswith("/v1/"):
            return self._config.url.rstrip("/") + path.removeprefix("/v1")
        return self._root + path

    async def _ask_or_none(self, method: str, path: str, body: JsonObject | None = None) -> Any:  # noqa: ANN401
        try:
            return await self._ask(method, path, body)
        except (UpstreamError, EngineLost):
            return None

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "start the engine first"
        return self._http

    async def prepare(self, request: TurnRequest) -> Prompt:
        if request.messages is None:
            field = "ids" if request.ids is not None else "prompt"
            raise InvalidField(field, "is nothing an upstream can answer.", "Send `messages`.")
        if request.has_images and Feature.IMAGES not in self._told.features:
            raise InvalidField("messages", f"holds an image, which {self._model} cannot see.", "Send text.")
        return Prompt(None, None)

    async def generate(self, request: TurnRequest, prompt: Prompt) -> AsyncGenerator[Frame]:
        timeout = aiohttp.ClientTimeout(None, sock_connect=ANSWER_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
        try:
            async with self._session.post(
                self._url("/v1/chat/completions"), json=self._body(request), timeout=timeout
            ) as response:
                await _check(response)
                async with aclosing(StreamReader(request).frames(sse.events(response))) as frames:
                    async for frame in frames:
                        yield frame
        except UpstreamError as fault:
            yield failure(fault, self._config.name, self._window, request.max_tokens)
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise EngineLost(
                f"the upstream {self._config.name} broke off ({type(fault).__name__})"
            ) from fault

    def _body(self, request: TurnRequest) -> JsonObject:
        sampling = request.sampling
        names = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")
        chosen: JsonObject = {name: getattr(sampling, name) for name in names}
        chosen["stop"] = list(sampling.stop) or None
        chosen["max_tokens"] = request.max_tokens
        chosen["response_format"] = request.response_format
        chosen["chat_template_kwargs"] = request.template_options or None
        chosen["return_progress"] = self._told.tells_progress or None
        if request.tools:
            chosen["tools"] = list(request.tools)
            chosen["tool_choice"] = request.tool_choice
            chosen["parallel_tool_calls"] = None if request.parallel_tool_calls else False
        return {
            "model": self._model,
            "messages": list(request.messages or ()),
            "stream": True,
            "stream_options": {"include_usage": True},
            **{name: value for name, value in chosen.items() if value is not None},
        }

    async def embed(self, request: EmbedRequest) -> Embeddings:
        if Feature.EMBEDDINGS not in self._told.features:
            raise InvalidField("model", f"{self._model} does not embed.", "Name an embedding model.")
        body = {"model": self._model, "input": list(request.inputs)}
        try:
            answer = await self._ask("POST", "/v1/embeddings", body)
        except UpstreamError as fault:
            told = failure(fault, self._config.name, self._window, 0)
            if told.code == InputTooLong.code:
                raise InputTooLong(self._window) from fault
            raise InvalidRequest(told.message) if told.status == 400 else EngineLost(told.message) from fault
        items = sorted(answer["data"], key=lambda item: item.get("index", 0))
        vectors = tuple(tuple(item["embedding"]) for item in items)
        return Embeddings(vectors, (answer.get("usage") or {}).get("prompt_tokens") or 0)

    async def evict(self, session: SessionKey) -> None:
        """An upstream keeps what it keeps."""

    async def died(self) -> str:
        missed = 0
        while missed < LOOKS_BEFORE_LOST:
            await asyncio.sleep(self._look_every_s)
            missed = 0 if await self._ask_or_none("GET", "/v1/models") is not None else missed + 1
        return f"the upstream {self._config.name} does not answer any more"

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raises UpstreamError."""
    if response.status < 400:
        return
    try:
        body = await response.json(content_type=None)
    except ValueError:
        body = f"status {response.status}"
    raise UpstreamError.of_body(response.status, body)
