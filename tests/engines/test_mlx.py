"""A real MLX on small models: one rank, two ranks by tensors, two ranks by layers."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from cluster.core.errors import InvalidField
from cluster.core.facts import Feature
from cluster.core.ids import SessionKey
from cluster.deployments.engine import EngineFault, EngineLost
from cluster.deployments.mlx import MlxEngine
from cluster.wire import Sampling
from tests.engines.contract import IdsContract
from tests.engines.kit import EngineKit, Running, Shared, answer, ask, begun, failed, rest_of
from tests.support import checkpoints
from tests.support.mlx_engines import kit_of, metrics_of, mlx, num_running, pids_of, started

pytestmark = [pytest.mark.needs_mlx, pytest.mark.asyncio(loop_scope="module")]

LONG = "Count the lights in the house, one after another. " * 21


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


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
    async def running(self, shared: Shared) -> Running:
        return await shared.running()


class TestOneRank(MlxContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.random_hf())


class TestTwoRanksByTensors(MlxContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.random_hf(), tensor_parallel=2, killed=1)


class TestTwoRanksByLayers(MlxContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> EngineKit:
        return kit_of(checkpoints.pipeline_hf(), pipeline_parallel=2, killed=0)
