"""A real vLLM with a model that embeds."""

from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio

from tests.engines import claims
from tests.engines.embeds import OwnEmbeds
from tests.engines.kit import Running
from tests.support.checkpoints import embedding_hf
from tests.support.vllm_engines import leftovers, vllm_of

pytestmark = [
    pytest.mark.needs_vllm,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


class TestEmbeddings(OwnEmbeds):
    claim = claims.VLLM

    @pytest_asyncio.fixture(scope="class", loop_scope="module")
    @classmethod
    async def running(cls) -> AsyncGenerator[Running]:
        engine = vllm_of(embedding_hf())
        try:
            yield Running(engine, await engine.start(lambda _: None), [])
        finally:
            await engine.stop()
            assert leftovers(engine) == []
