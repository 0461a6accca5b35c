"""A real llama.cpp on a random model: its life, its slots, and what cancels."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import gguf
import psutil
import pytest

from cluster.config import ModelConfig
from cluster.core.events import Feature, Locality
from cluster.core.ids import NodeId, SessionKey
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments.engine import Engine, EngineFault, EngineLost
from cluster.deployments.llamacpp import LlamaCppEngine
from cluster.deployments.spec import ReplicaSpec, make_engine
from cluster.wire import (
    EmbedRequest,
    Ended,
    Failed,
    Progress,
    Tokens,
)
from tests.engines import claims
from tests.engines.contract import IdsContract
from tests.engines.embeds import OwnEmbeds
from tests.engines.kit import EngineKit, Running
from tests.support.checkpoints import EMBEDDING, random_gguf
from tests.support.llama_engines import (
    ANNA,
    BEN,
    FIRST_CONTROL,
    answer,
    ended,
    ignore,
    leftovers_of,
    pid_of,
    running,
    slots,
    text_of,
    turn,
    until,
)
from tests.support.tiny_gguf import CALM, WILD, Shape, tiny_gguf

HEAVY = Shape(layers=8, width=256, heads=8, hidden=1024, window=16384)


class TestLlamaCpp(IdsContract):
    claim = claims.LLAMACPP

    @pytest.fixture
    def kit(self, tmp_path: Path) -> EngineKit:
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(tiny_gguf().read_bytes()[:-100])
        body = {"name": "tiny", "kv_type": "f32", "source": str(random_gguf())}
        broken = {**body, "source": str(cut)}

        async def num_running(engine: Engine) -> int:
            return sum(slot["is_processing"] for slot in await slots(cast(LlamaCppEngine, engine)))

        async def kill(engine: Engine) -> None:
            os.kill(pid_of(cast(LlamaCppEngine, engine)), signal.SIGKILL)

        return EngineKit(
            make=lambda: LlamaCppEngine(ModelConfig.model_validate(body)),
            make_broken=lambda: LlamaCppEngine(ModelConfig.model_validate(broken)),
            question="What is there?",
            num_running=num_running,
            kill=kill,
            leftovers=leftovers_of,
            control_ids=frozenset(range(FIRST_CONTROL, FIRST_CONTROL + 3)),
            control_words=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
            num_prefix_tokens=20,
            twin=random_gguf(),
        )


class TestEmbeddings(OwnEmbeds):
    claim = claims.LLAMACPP

    @pytest.fixture
    async def running(self) -> AsyncGenerator[Running]:
        async with running(EMBEDDING) as (engine, facts):
            yield Running(engine, facts, [])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))


async def test_a_started_engine_tells_what_it_has() -> None:
    async with running() as (_, facts):
        assert facts.capacity.kv_tokens == 4 * 4096
        assert (facts.capacity.num_slots, facts.capacity.window_tokens) == (4, 4096)
        assert not facts.capacity.estimated
        assert facts.speed.prefill_tps > 0
        assert facts.speed.decode_tps > 0
        assert facts.formats == ("hermes",)
        assert facts.locality is Locality.LOCAL
        assert facts.features == {Feature.CHAT, Feature.GRAMMAR, Feature.MEASURE}
        assert facts.weights_bytes == tiny_gguf().stat().st_size
        assert facts.kv_bytes == facts.capacity.kv_tokens * 2048


async def test_an_engine_gets_the_slots_and_checkpoints_of_its_layout() -> None:
    source = str(tiny_gguf())
    shards = (Shard(NodeId("n"), 2**30),)
    layout = Layout(EngineKind.LLAMACPP, source, shards, 4096, 4096, num_slots=2, num_checkpoints=1)
    settings = {"name": "tiny", "source": source}
    spec = ReplicaSpec(deployment="d", node="n", engine="llamacpp", settings=settings, layout=layout)
    engine = cast(LlamaCppEngine, make_engine(spec))
    try:
        facts = await engine.start(lambda _: None)
        assert facts.capacity.num_slots == len(await slots(engine)) == 2
        (told,) = (word for word in psutil.Process(pid_of(engine)).cmdline() if word.startswith("{"))
        assert json.loads(told)["num_checkpoints"] == 1
    finally:
        await engine.stop()


async def test_the_same_file_has_the_same_hash_and_another_one_another() -> None:
    async with running() as (_, one), running() as (_, same), running(WILD) as (_, other):
        assert one.model_hash == same.model_hash != other.model_hash


async def test_nothing_listens_on_a_network_and_nothing_stays_behind() -> None:
    async with running() as (engine, _):
        child = psutil.Process(pid_of(engine))
        folder = engine._process._folder
        assert folder is not None
        assert child.net_connections("inet") == []
        assert folder.stat().st_mode & 0o077 == 0
    assert not child.is_running()
    assert not folder.exists()
    await engine.stop()


async def test_a_session_keeps_its_prefix_until_it_is_evicted() -> None:
    async with running() as (engine, _):
        first = ended(await answer(engine, turn()))
        await answer(engine, turn(BEN, messages=({"role": "user", "content": "Something else"},)))
        again = ended(await answer(engine, turn()))
        assert first.cached_tokens == 0
        assert again.cached_tokens == first.prompt_tokens - 1
        await engine.evict(ANNA)
        assert ended(await answer(engine, turn())).cached_tokens == 0


async def test_a_cancelled_answer_frees_its_slot_within_a_second() -> None:
    async with running() as (engine, _):
        request = turn(max_tokens=4000)
        async with aclosing(engine.generate(request, await engine.prepare(request))) as frames:
            await until(frames, Tokens)
            assert any(slot["is_processing"] for slot in await slots(engine))
            started = time.perf_counter()
        assert time.perf_counter() - started < 1.0
        assert not any(slot["is_processing"] for slot in await slots(engine))


async def test_a_cancelled_prompt_stops_within_a_batch() -> None:
    async with running(HEAVY) as (engine, facts):
        request = turn(ids=(65,) * 12_000)
        frames = engine.generate(request, await engine.prepare(request))
        first = await anext(frames)
        assert isinstance(first, Progress)
        started = time.perf_counter()
        await frames.aclose()
        took_s = time.perf_counter() - started
        assert not any(slot["is_processing"] for slot in await slots(engine))
        whole_s = 12_000 / facts.speed.prefill_tps
        assert took_s < whole_s / 3, f"{took_s:.1f} s of {whole_s:.1f} s"


async def test_a_cancelled_task_frees_its_slot_as_well() -> None:
    async with running() as (engine, _):
        request = turn(max_tokens=4000)
        started = asyncio.Event()

        async def listen() -> None:
            async with aclosing(engine.generate(request, await engine.prepare(request))) as frames:
                async for _ in frames:
                    started.set()

        task = asyncio.create_task(listen())
        await started.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not any(slot["is_processing"] for slot in await slots(engine))


async def test_a_killed_engine_is_lost_and_tells_how_it_ended() -> None:
    async with running() as (engine, _):
        died = asyncio.create_task(engine.died())
        request = turn(max_tokens=4000)
        frames = engine.generate(request, await engine.prepare(request))
        await until(frames, Tokens)
        os.kill(pid_of(engine), signal.SIGKILL)
        with pytest.raises(EngineLost):
            await until(frames, Ended)
        assert "signal 9" in await died
        with pytest.raises(EngineLost):
            await engine.prepare(request)


async def test_five_turns_at_once_find_four_slots() -> None:
    async with running() as (engine, _):
        requests = [turn(SessionKey("home", str(number)), max_tokens=200) for number in range(5)]
        answers = await asyncio.gather(*(answer(engine, request) for request in requests))
        refused = [frames for frames in answers if isinstance(frames[-1], Failed)]
        assert [frames[-1].code for frames in refused if isinstance(frames[-1], Failed)] == ["no_room"]
        assert len({text_of(frames) for frames in answers if frames not in refused}) == 1


async def test_a_model_that_pools_embeds() -> None:
    async with running(Shape(pooling=gguf.PoolingType.MEAN)) as (engine, facts):
        assert facts.features == {Feature.EMBEDDINGS}
        found = await engine.embed(EmbedRequest("turn", ANNA, "tiny", ("one", "two", "one")))
        assert [len(vector) for vector in found.vectors] == [CALM.width] * 3
        assert found.vectors[0] == pytest.approx(found.vectors[2], abs=1e-4)
        assert found.vectors[0] != pytest.approx(found.vectors[1], abs=1e-4)
        assert found.prompt_tokens == 9


async def test_a_model_that_llama_cpp_does_not_know_says_so(tmp_path: Path) -> None:
    path = tmp_path / "alien.gguf"
    path.write_bytes(tiny_gguf().read_bytes().replace(b"llama", b"alien"))
    engine = LlamaCppEngine(ModelConfig(name="alien", source=str(path)))
    with pytest.raises(EngineFault, match=r"could not load .*alien"):
        await engine.start(ignore)
    await engine.stop()
