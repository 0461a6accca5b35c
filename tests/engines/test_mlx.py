"""A real MLX on small models: one rank, two ranks by tensors, two ranks by layers."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import pytest_asyncio

from cluster.deployments.engine import Engine, EngineFault
from cluster.deployments.mlx import MlxEngine
from cluster.wire import Failed, Progress, Sampling
from tests.engines import claims
from tests.engines.claims import Ability, shows
from tests.engines.contract import IdsContract
from tests.engines.kit import EngineKit, Running, Shared, answer, ask, begun, failed
from tests.support import checkpoints
from tests.support.mlx_engines import kit_of, metrics_of, mlx, pids_of, started

pytestmark = [pytest.mark.needs_mlx, pytest.mark.asyncio(loop_scope="module")]

QUESTIONS = ("What is there?", "🦊 says", "a b c d e f g")
LIGHTS = "Count the lights in the house, one after another, and say which are on. "

Answers = dict[Path, list[tuple[int, ...]]]


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def of_one_rank() -> Answers:
    """Greedy answers of one rank, by model, as far as they were asked for."""
    return {}


async def greedy(engine: Engine) -> list[tuple[int, ...]]:
    requests = [ask(text, f"greedy {text}", max_tokens=64, tenant="greedy") for text in QUESTIONS]
    return [(await answer(engine, request)).ids for request in requests]


class AnyRanks:
    """Named as the last base: pytest takes its tests before those that end the engine."""

    @shows(Ability.TURNS)
    async def test_greedy_ids_are_those_of_one_rank(self, engine: Engine, of_one_rank: Answers) -> None:
        folder = Path(cast(MlxEngine, engine)._layout.source)
        found = await greedy(engine)
        if folder not in of_one_rank:
            async with started(mlx(folder)) as alone:
                of_one_rank[folder] = await greedy(alone)
        assert found == of_one_rank[folder]
        assert all(len(ids) == 64 for ids in found)

    @shows(Ability.PREFIX)
    async def test_the_second_turn_of_a_long_session_computes_what_is_new(self, engine: Engine) -> None:
        history = ask(LIGHTS * 17, "long", tenant="long")
        first = await answer(engine, history)
        assert first.ended.prompt_tokens >= 1000
        said = {"role": "assistant", "content": first.text}
        more = (*(history.messages or ()), said, {"role": "user", "content": "And then?"})
        second = await answer(engine, replace(history, turn="second", messages=more))
        assert second.ended.cached_tokens >= 0.9 * second.ended.prompt_tokens

    async def test_an_idle_engine_computes_nothing(self, engine: Engine) -> None:
        await answer(engine, ask("Hello!"))
        ranks = [psutil.Process(pid) for pid in pids_of(engine)]
        before = [sum(rank.cpu_times()[:2]) for rank in ranks]
        await asyncio.sleep(1.0)
        used = [sum(rank.cpu_times()[:2]) - had for rank, had in zip(ranks, before, strict=True)]
        assert max(used) <= 0.03, f"{used} s of one second"


class Alone(AnyRanks):
    """What rank 0 alone decides."""

    async def test_a_seed_repeats_an_answer(self, engine: Engine) -> None:
        async def ids(**chosen: Any) -> tuple[int, ...]:  # noqa: ANN401
            request = replace(ask("Hello!", "seeds"), sampling=Sampling(temperature=1.5, **chosen))
            return (await answer(engine, request)).ids

        assert await ids(seed=7) == await ids(seed=7) != await ids(seed=8)
        assert await ids() != await ids()
        alone = (await answer(engine, ask("Hello!", "seeds"))).ids
        narrow: list[dict[str, Any]] = [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}]
        assert [await ids(**one) for one in narrow] == [alone] * 3

    async def test_penalties_make_an_answer_repeat_itself_less(self, engine: Engine) -> None:
        async def num_different(**penalties: float) -> int:
            request = ask("Hello!", "penalties", max_tokens=64)
            request = replace(request, sampling=replace(request.sampling, **penalties))
            return len(set((await answer(engine, request)).ids))

        plain = await num_different()
        assert await num_different(frequency_penalty=2.0) > plain
        assert await num_different(presence_penalty=2.0) > plain

    async def test_a_turn_with_its_own_sampling_leaves_the_others_alone(self, engine: Engine) -> None:
        alone = await answer(engine, ask("Hello!", "calm"))
        wild = replace(ask("Hello!", "wild"), sampling=Sampling(temperature=1.5, frequency_penalty=1.0))
        form = replace(ask("Hello!", "form"), response_format={"type": "json_object"})
        calm, *_ = await asyncio.gather(
            *(answer(engine, request) for request in (ask("Hello!", "calm"), wild, form))
        )
        assert calm.ids == alone.ids

    async def test_more_turns_than_slots_are_refused(self, engine: Engine) -> None:
        requests = [ask("Hello!", f"crowd {number}", max_tokens=200) for number in range(5)]
        answers = await asyncio.gather(*(answer(engine, request) for request in requests))
        refused = [one for one in answers if isinstance(one.frames[-1], Failed)]
        assert [failed(one).code for one in refused] == ["no_room"]

    async def test_a_prompt_is_left_in_the_middle(self, engine: Engine) -> None:
        request = ask("x" * 3000, "left", max_tokens=1)
        had = (await metrics_of(engine))["kv_tokens_idle"]
        frames = engine.generate(request, await engine.prepare(request))
        assert isinstance(await anext(frames), Progress)
        await asyncio.wait_for(frames.aclose(), 10)
        told = await metrics_of(engine)
        assert told["running"] == 0
        assert told["kv_tokens_idle"] - had < 2900, "it was not computed to its end"

    async def test_a_bad_schema_is_refused(self, engine: Engine) -> None:
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
        answered = await answer(engine, replace(ask("Hello!"), response_format=schema))
        assert (failed(answered).status, failed(answered).code) == (400, "invalid_request")

    async def test_a_schema_too_large_to_follow_ends_its_own_answer_alone(self, engine: Engine) -> None:
        large = {"type": "string", "pattern": "^([a-z]{1,500}[a-f]{1,500}){100,500}x$"}
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": large}}
        request = replace(ask("Hello!", "large", max_tokens=400), response_format=schema)
        answered, other = await asyncio.gather(
            answer(engine, request), answer(engine, ask("Hello!", "other", max_tokens=64))
        )
        assert (failed(answered).status, failed(answered).code) == (400, "invalid_request")
        assert "Simplify it" in failed(answered).message
        assert len(other.ids) == 64


class MlxContract(IdsContract):
    """All of the contract on one engine, started again where a test ended it."""

    @pytest_asyncio.fixture(scope="class", loop_scope="module")
    @classmethod
    async def shared(cls, kit: EngineKit) -> AsyncGenerator[Shared]:
        shared = Shared(kit)
        try:
            yield shared
        finally:
            await shared.close()

    @pytest_asyncio.fixture(loop_scope="module")
    async def running(self, shared: Shared) -> Running:  # ty: ignore[incompatible-attribute-override]
        return await shared.running()


class TestOneRank(MlxContract, Alone):
    claim = claims.MLX

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.random_hf(), checkpoints.random_gguf())


class TestTwoRanksByTensors(MlxContract, AnyRanks):
    claim = claims.MLX_TP2

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.random_hf(), checkpoints.random_gguf(), tensor_parallel=2, killed=1)


class TestTwoRanksByLayers(MlxContract, AnyRanks):
    claim = claims.MLX_PP2

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.pipeline_hf(), checkpoints.pipeline_gguf(), pipeline_parallel=2, killed=0)


async def test_a_trained_model_answers_the_same_in_two_parts() -> None:
    async with started(mlx(checkpoints.trained_hf(), tensor_parallel=2)) as engine:
        in_parts = await greedy(engine)
    async with started(mlx(checkpoints.trained_hf())) as engine:
        assert await greedy(engine) == in_parts


async def test_what_is_computed_stays_within_the_memory() -> None:
    """A batch is padded to its longest turn: the newest is set aside while it does not fit, and goes on."""
    folder = checkpoints.random_hf()
    long, short = ask("x" * 300, "long", max_tokens=150), ask("Hello!", "short", max_tokens=150)
    async with started(mlx(folder, context_tokens=800, window_tokens=800)) as engine:
        alone = [(await answer(engine, request)).ids for request in (long, short)]
        together = await asyncio.gather(answer(engine, long), answer(engine, short))
        assert [one.ids for one in together] == alone
        assert (await metrics_of(engine))["set_aside"] == 1
        for number in range(4):
            await answer(engine, ask("x" * 250, f"session {number}", max_tokens=1))
        told = await metrics_of(engine)
        assert 0 < told["kv_tokens_idle"] <= told["kv_tokens_capacity"] == 800
        running = await begun(engine, long)
        refused = await answer(engine, ask("x" * 500, "other"))
        assert failed(refused).code == "no_room"
        await running.aclose()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"kv_type": "q8_0"}, "kv_type"),
        ({"tensor_parallel": 2, "pipeline_parallel": 2}, "not both"),
        ({"pipeline_parallel": 2}, "cannot split `llama` by `pipeline_parallel`.*tensor_parallel"),
        ({"tensor_parallel": 3}, "heads do not divide into 3 ranks"),
    ],
)
async def test_what_mlx_cannot_run_is_said(chosen: dict[str, Any], words: str) -> None:
    engine = mlx(checkpoints.random_hf(), **chosen)
    try:
        with pytest.raises(EngineFault, match=words):
            await engine.start(lambda _: None)
    finally:
        await engine.stop()


async def test_a_start_that_hangs_is_given_up_with_the_last_lines() -> None:
    engine = mlx(checkpoints.random_hf(), load_timeout_s=0.2)
    try:
        with pytest.raises(EngineFault, match=r"did not load within 0 s.*last lines(.|\n)*load_timeout_s"):
            await engine.start(lambda _: None)
    finally:
        await engine.stop()
