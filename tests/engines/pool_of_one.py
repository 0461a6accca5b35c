"""A replica in a real Ray Serve, tried from beginning to end; what was seen goes to stdout as JSON.

A program of its own, because Ray reads its environment once.  Run by test_replica.py.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import ray
from ray import serve

from cluster.core.events import Event, ReplicaReady
from cluster.core.ids import LeaseId, SessionKey, TurnId
from cluster.core.view import LoadingStatus
from cluster.deployments.replica import ReplicaDeployment
from cluster.deployments.spec import ReplicaSpec
from cluster.pool.paths import PoolPaths
from cluster.pool.ray_head import make_token, start_ray
from cluster.ticket import Ticket, sign
from cluster.wire import TICKET_HEADER, FrameDecoder, Tokens, TurnRequest, encode_request


class ListeningActor:
    """The router's calls."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._events: list[Event] = []
        self._secret = b""
        self._came = asyncio.Event()

    async def ready(self, event: ReplicaReady, secret: bytes) -> int:
        self._secret = secret
        return await self.post([event])

    async def loading(self, status: LoadingStatus) -> int:
        return self._epoch

    async def post(self, events: Sequence[Event]) -> int:
        self._events += events
        if any(isinstance(event, ReplicaReady) for event in events):
            self._came.set()
        return self._epoch

    async def await_ready(self) -> tuple[ReplicaReady, bytes]:
        await self._came.wait()
        return next(event for event in self._events if isinstance(event, ReplicaReady)), self._secret

    async def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self._events]


def router(epoch: int) -> Any:  # noqa: ANN401 - Ray's actor handles have no static type
    options = {"name": "router", "namespace": "hearth", "num_cpus": 0}
    return ray.remote(ListeningActor).options(**options).remote(epoch)


def addresses() -> list[str]:
    """Where this process and all below it listen."""
    me = psutil.Process()
    found = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    return sorted(set(found))


async def turn(ready: ReplicaReady, secret: bytes) -> str:
    """The text of one answer."""
    session = SessionKey("t", "s")
    ticket = Ticket(LeaseId("lease"), TurnId("turn"), session, 100, ready.boot, 1)
    request = TurnRequest("turn", session, "fake", messages=({"role": "user", "content": "hello"},))
    headers = {TICKET_HEADER: sign(secret, ticket)}
    url, body = f"{ready.endpoint}/turn", encode_request(request)
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
        frames = FrameDecoder().feed(await response.read())
        return "".join(frame.text for frame in frames if isinstance(frame, Tokens))


def main(home: Path) -> dict[str, object]:
    paths = PoolPaths(home)
    paths.run.mkdir(parents=True)
    make_token(paths)
    start_ray(paths, "node-1")
    first = router(1)
    serve.start(proxy_location="Disabled")
    spec = ReplicaSpec(deployment="fake", node="node-1", engine="fake", settings={"model": "fake"})
    app = ReplicaDeployment.options(ray_actor_options={"num_cpus": 0}).bind((spec,))
    serve.run(app, name="fake", route_prefix=None)
    ready, secret = ray.get(first.await_ready.remote(), timeout=60)
    seen: dict[str, object] = {
        "endpoint": ready.endpoint,
        "text": asyncio.run(turn(ready, secret)),
        "addresses": addresses(),
    }
    ray.kill(first)
    second = router(2)
    again, _ = ray.get(second.await_ready.remote(), timeout=60)
    seen["same_boot"] = again.boot == ready.boot
    seen["resident"] = [idle.tokens for idle in again.resident]
    serve.shutdown()
    seen["last"] = ray.get(second.kinds.remote(), timeout=10)[-1]
    ray.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
