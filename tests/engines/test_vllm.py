"""A real vLLM on a CPU: one rank, and two that share each layer.  Few starts: each costs half a minute."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from cluster.deployments.engine import Engine, EngineFacts
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
    kill,
    leftovers,
    num_running,
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
        make_broken=lambda: vllm_of(_cut_short(random_hf()), num_ranks),
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


def _cut_short(folder: Path) -> Path:
    """The same model, its weights not whole."""
    copy = folder.with_name("cut-short")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
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
