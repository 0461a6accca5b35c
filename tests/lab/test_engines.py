"""The contract of engines, by gangs that have a rank on each of two hosts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
import pytest_asyncio

from cluster.core.layout import EngineKind
from tests.engines import claims
from tests.engines.contract import IdsContract
from tests.engines.kit import EngineKit, Running, Shared
from tests.lab.engines import kit_over, layout_over
from tests.lab.lab import Lab
from tests.support import checkpoints, mlx_engines, vllm_engines

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
MLX_RANK, VLLM_RANK = "cluster.deployments.mlx_server", "cluster.deployments.vllm_rank"


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


class OverTwoHosts(IdsContract):
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


@pytest.mark.needs_mlx
class TestMlxByTensors(OverTwoHosts):
    claim = claims.MLX_TP2

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls, engine_lab: Lab) -> EngineKit:
        layout = layout_over(engine_lab, EngineKind.MLX, checkpoints.random_hf(), tensor_parallel=2)
        crash = ("b", MLX_RANK)
        return kit_over(engine_lab, layout, checkpoints.random_gguf(), crash, mlx_engines.num_running)


@pytest.mark.needs_mlx
class TestMlxByLayers(OverTwoHosts):
    claim = claims.MLX_PP2

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls, engine_lab: Lab) -> EngineKit:
        layout = layout_over(engine_lab, EngineKind.MLX, checkpoints.pipeline_hf(), pipeline_parallel=2)
        crash = ("a", MLX_RANK)
        return kit_over(engine_lab, layout, checkpoints.pipeline_gguf(), crash, mlx_engines.num_running)


@pytest.mark.needs_vllm
class TestVllmByTensors(OverTwoHosts):
    claim = claims.VLLM_TWO_HOSTS

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls, engine_lab: Lab) -> EngineKit:
        layout = layout_over(engine_lab, EngineKind.VLLM, checkpoints.random_hf(), tensor_parallel=2)
        crash = ("b", VLLM_RANK)
        return kit_over(engine_lab, layout, checkpoints.random_gguf(), crash, vllm_engines.num_running)
