"""The engine of a replica, asked directly on its Unix socket, past front, router and gateway."""

import json
from typing import Any

from bench.harness.client import Address, ask, get, post
from bench.harness.pool import Pool
from cluster.deployments.llamacpp_settings import Settings


def settings_of(pool: Pool, model: str) -> Settings:
    """What the running engine of this model was told, its socket included."""
    for process in pool.processes()["engine"]:
        told = Settings.from_argument(process.cmdline()[-1])
        if told.name == model:
            return told
    raise RuntimeError(f"no engine runs {model}")


async def forget_all(engine: Address, num_slots: int) -> None:
    """Empties every slot, so that nobody finds a prefix."""
    for slot in range(num_slots):
        await _json(engine, post(f"/slots/{slot}?action=erase"))


async def slots(engine: Address) -> list[dict[str, Any]]:
    return await _json(engine, get("/slots"))


async def num_deferred(engine: Address) -> int:
    """Requests that the engine holds in a queue of its own, for want of a slot."""
    page = (await ask(engine, get("/metrics"))).body.decode()
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))
    return int(lines["llamacpp:requests_deferred"])


async def _json(engine: Address, request: bytes) -> Any:  # noqa: ANN401
    reply = await ask(engine, request)
    if reply.status != 200:
        raise RuntimeError(f"the engine answered {reply.status}: {reply.body[:200]!r}")
    return json.loads(reply.body)
