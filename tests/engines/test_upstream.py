"""A llama.cpp server that a person started by hand, as an upstream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from cluster.config import UpstreamConfig
from cluster.core.events import Feature, Locality
from cluster.deployments.engine import Engine, EngineLost
from cluster.deployments.upstream import UpstreamEngine
from cluster.wire import (
    Delta,
    Ended,
    Failed,
    Progress,
)
from tests.engines import claims
from tests.engines.contract import EngineContract
from tests.engines.embeds import Embeds
from tests.engines.kit import EngineKit, Running
from tests.support.checkpoints import EMBEDDING, embedding_gguf, random_gguf
from tests.support.upstreams import (
    answer,
    llama_server,
    started,
    turn,
    until_idle,
)


class TestUpstream(EngineContract):
    claim = claims.UPSTREAM

    @pytest.fixture
    async def kit(self, tmp_path: Path) -> AsyncGenerator[EngineKit]:
        async with llama_server(tmp_path, random_gguf()) as (url, process):
            config = UpstreamConfig(name="up", url=url, max_concurrency=2)
            broken = UpstreamConfig(name="down", url="http://127.0.0.1:9/v1")

            async def num_running(_: Engine) -> int:
                await until_idle(url.removesuffix("/v1") + "/slots")
                return 0

            async def kill(_: Engine) -> None:
                await process.stop(grace_s=0)

            yield EngineKit(
                make=lambda: UpstreamEngine(config, "tiny", look_every_s=0.05),
                make_broken=lambda: UpstreamEngine(broken, "tiny"),
                question="What is there?",
                num_running=num_running,
                kill=kill,
                leftovers=lambda _: [],
            )


class TestEmbeddings(Embeds):
    claim = claims.UPSTREAM

    @pytest.fixture
    async def running(self, tmp_path: Path) -> AsyncGenerator[Running]:
        pooling = EMBEDDING.pooling
        async with (
            llama_server(tmp_path, embedding_gguf(), pooling) as (url, _),
            started(url, max_concurrency=2) as (engine, facts),
        ):
            assert Feature.EMBEDDINGS in facts.features
            yield Running(engine, facts, [])


async def test_a_real_server_answers_as_an_upstream(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url, local_models=("tiny",)) as (engine, facts):
        assert facts.locality is Locality.LOCAL
        assert facts.capacity.window_tokens == 2048
        assert facts.capacity.estimated
        assert Feature.IMAGES not in facts.features
        frames = await answer(engine, turn())
        assert isinstance(frames[0], Progress)
        text = "".join(frame.delta["content"] for frame in frames if isinstance(frame, Delta))
        assert text
        end = frames[-1]
        assert isinstance(end, Ended)
        assert (end.reason, end.completion_tokens) == ("length", 16)
        assert end.prompt_tokens > 10


async def test_a_real_server_refuses_a_long_prompt_in_our_words(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url) as (engine, _):
        message = {"role": "user", "content": "long " * 1000}
        (failed,) = await answer(engine, turn(messages=(message,)))
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code) == (400, "context_length_exceeded")
        assert "maximum context length is 2048 tokens. However, you requested" in failed.message
        assert (failed.prompt_tokens or 0) > 5000


async def test_a_real_server_is_let_go_when_the_turn_is_cancelled(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, _), started(url) as (engine, _):
        request = turn(max_tokens=2000)
        async with aclosing(engine.generate(request, await engine.prepare(request))) as frames:
            async for frame in frames:
                if isinstance(frame, Delta):
                    break
        await until_idle(url.removesuffix("/v1") + "/slots")


async def test_a_killed_server_is_lost(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as (url, process), started(url) as (engine, _):
        died = asyncio.create_task(engine.died())
        request = turn(max_tokens=2000)
        frames = engine.generate(request, await engine.prepare(request))
        await anext(frames)
        await process.stop(grace_s=0)
        with pytest.raises(EngineLost):
            _ = [frame async for frame in frames]
        assert "up does not answer any more" in await died
        with pytest.raises(EngineLost):
            await answer(engine, turn())
