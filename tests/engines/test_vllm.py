"""A real vLLM on a CPU: one rank, and two that share each layer.  Few starts: each costs half a minute."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from cluster.deployments.engine import Engine, EngineFacts, EngineFault
from tests.engines import claims
from tests.engines.contract import IdsContract
from tests.engines.kit import EngineKit, Running, Shared, answer
from tests.engines.twin import CONVERSATIONS, answers_of_llamacpp
from tests.support.checkpoints import random_gguf, random_hf, trained_gguf, trained_hf
from tests.support.llama_engines import FIRST_CONTROL
from tests.support.vllm_engines import (
    CORE,
    LAST_WORKER,
    SERVER,
    START_S,
    host_of,
    kill,
    leftovers,
    num_running,
    processes,
    shared_files,
    vllm_of,
)

pytestmark = [
    pytest.mark.needs_vllm,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]

QUESTION = "What is there, and who was there before the others came?"


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def kit_of(num_ranks: int, killed: str) -> EngineKit:
    """`killed`: the process that a crash ends.  The engine started after one has the trained model."""
    folders = [random_hf()]

    async def crash(engine: Engine) -> None:
        folders.append(trained_hf())
        kill(engine, killed)

    return EngineKit(
        make=lambda: vllm_of(folders[-1], num_ranks),
        make_broken=lambda: vllm_of(_without_weights(random_hf()), num_ranks),
        question=QUESTION,
        num_running=num_running,
        kill=crash,
        leftovers=leftovers,
        control_ids=frozenset(range(FIRST_CONTROL, FIRST_CONTROL + 3)),
        control_words=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        num_prefix_tokens=32,
        forgets=False,
        start_s=START_S,
        twin=random_gguf(),
    )


def _without_weights(folder: Path) -> Path:
    copy = folder.with_name("without-weights")
    shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    return copy


def _of_nobody(folder: Path) -> Path:
    """The same weights, of an architecture that nobody knows."""
    copy = folder.with_name("of-nobody")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    config = copy / "config.json"
    config.write_text(config.read_text().replace("LlamaForCausalLM", "NobodysForCausalLM"))
    return copy


class VllmContract(IdsContract):
    """All of the contract on one engine, started again where a test ended it."""

    claim = claims.VLLM

    @pytest_asyncio.fixture(scope="class", loop_scope="module")
    @classmethod
    async def shared(cls, kit: EngineKit) -> AsyncGenerator[Shared]:
        shared = Shared(kit)
        try:
            yield shared
        finally:
            await shared.close()

    @pytest_asyncio.fixture(loop_scope="module")
    async def running(  # ty: ignore[incompatible-attribute-override] - a fixture, found by its name
        self, shared: Shared
    ) -> Running:
        return await shared.running()

    async def test_a_stop_leaves_nothing_and_may_come_twice(
        self, engine: Engine, facts: EngineFacts, kit: EngineKit
    ) -> None:
        """The trained model, since this engine has to be started anyway: it answers as llama.cpp does."""
        for request, wanted in zip(CONVERSATIONS, await answers_of_llamacpp(trained_gguf()), strict=True):
            ids = (await answer(engine, request)).ids
            assert ids == wanted.answer[: len(ids)]
            assert len(wanted.answer) - len(ids) in (0, 1), "llama.cpp counts the token that ended it"
        shared = shared_files(engine)
        await self.end(engine)
        await engine.stop()
        await engine.stop()
        assert kit.leftovers(engine) == []
        assert not [path for path in shared if path.exists()]

    async def end(self, engine: Engine) -> None:
        """How it ends before it is stopped."""


class TestOneRank(VllmContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(num_ranks=1, killed=CORE)


class TestTwoRanks(VllmContract):
    claim = claims.VLLM_TP2

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(num_ranks=2, killed=LAST_WORKER)

    async def end(self, engine: Engine) -> None:
        """Its server is killed, which nobody is left to clear up after."""
        kill(engine, SERVER)
        assert "signal 9" in await asyncio.wait_for(engine.died(), 2)


async def test_a_start_that_takes_too_long_is_given_up() -> None:
    engine = vllm_of(random_hf(), load_timeout_s=4)
    with pytest.raises(EngineFault, match=r"(?s)within 4 s.*raise `load_timeout_s`"):
        await engine.start(lambda _: None)
    assert processes(engine), "it was on its way"
    await engine.stop()
    assert leftovers(engine) == []


async def test_a_stop_may_come_in_the_middle_of_a_start() -> None:
    engine = vllm_of(random_hf())
    starting = asyncio.create_task(engine.start(lambda _: None))
    await asyncio.wait_for(host_of(engine).has_started.wait(), 60)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await engine.stop()
    assert leftovers(engine) == []


async def test_a_model_of_nobodys_architecture_says_so() -> None:
    engine = vllm_of(_of_nobody(random_hf()))
    with pytest.raises(EngineFault, match="NobodysForCausalLM") as caught:
        await engine.start(lambda _: None)
    await engine.stop()
    assert len(caught.value.problem) < 1600, "in short"
