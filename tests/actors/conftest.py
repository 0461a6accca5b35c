"""One pool for all tests of this folder; a test that ends it leaves a new start to the next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.config import HearthConfig
from tests.actors.pool import Pool, start_pool, until
from tests.cli.hearth import free_ports
from tests.support.by_hand import ByHand
from tests.support.tiny_gguf import tiny_gguf

SLOW: dict[str, Any] = {
    "answer": "".join(f"{number:03d} " for number in range(50)),
    "num_slots": 3,
    "kv_tokens": 2500,
    "decode_tps": 20,
    "start_s": 3,
}
"""Says 200 tokens in 10 seconds, so a router can come back meanwhile.  Three of its turns fill it."""


SOUND = ("slow", "tiny", "gang", "by-hand")
"""The models that get ready."""


def config(broken: Path, upstream: str) -> HearthConfig:
    http_port, grpc_port = free_ports(2)
    return HearthConfig.model_validate(
        {
            "guide": False,
            "models": [
                {"name": "slow", "source": "fake", "engine": "fake", "fake": SLOW},
                {
                    "name": "tiny",
                    "source": str(tiny_gguf()),
                    "kv_type": "f32",
                    "slots": 2,
                    "context_tokens": 8192,
                },
                {"name": "broken", "source": str(broken)},
                {
                    "name": "gang",
                    "source": "fake",
                    "engine": "fake",
                    "tensor_parallel": 2,
                    "fake": {"answer": "one two three"},
                },
            ],
            "upstreams": [{"name": "hand", "url": upstream, "local_models": ["by-hand"]}],
            "gateway": {"http_port": http_port, "grpc_port": grpc_port},
        }
    )


class Pools:
    """The pool that runs, started when it is first wanted."""

    def __init__(self, home: Path) -> None:
        self._home, self._pool = home, None
        self._by_hand = ByHand(home)

    def running(self) -> Pool:
        if self._pool is not None and not self._pool.is_running:
            self.end()
        if self._pool is None:
            self._pool = start_pool(self._home, config(self._broken(), self._by_hand.url), SOUND)
        return self._pool

    def _broken(self) -> Path:
        """A whole GGUF of a kind that llama.cpp has never heard of."""
        path = self._home / "broken.gguf"
        path.write_bytes(tiny_gguf().read_bytes().replace(b"llama", b"alien"))
        return path

    def end(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None

    def close(self) -> None:
        self.end()
        self._by_hand.end()


@pytest.fixture(scope="session")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pools]:
    pools = Pools(tmp_path_factory.mktemp("pool"))
    yield pools
    pools.close()


@pytest.fixture
def pool(pools: Pools) -> Iterator[Pool]:
    """A pool whose models are ready; whatever the test did, no lease and no waiting turn is left of it."""
    pool = pools.running()
    yield pool
    if pool.is_running:
        until(lambda: _is_idle(pool))


def _is_idle(pool: Pool) -> bool:
    try:
        view = pool.view()
    except httpx.HTTPError:
        return False
    return not view["queue"] and all(replica["num_leases"] == 0 for replica in view["replicas"])
