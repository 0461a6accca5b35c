"""The loader as a named actor: it carries Load and Unload out, and knows which nodes are there.

Ray starts it again where its process dies: the applications go on meanwhile, and it finds them again.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from typing import Any

import ray

from actors.apps import ServeApps
from actors.nodes import watch_nodes
from cluster.config import ModelConfig, home
from cluster.core.commands import ToLoader
from cluster.loader.book import Book
from cluster.loader.loader import Loader
from cluster.ports import LoaderPort
from cluster.raylink import RayRouter

BOOK = "loaded"
log = logging.getLogger(__name__)


class _Router(RayRouter):
    """Attaches with the actor's handle: the loader itself cannot leave its process."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - Ray's actor handles have no static type
        super().__init__()
        self._me = actor

    async def attach_loader(self, port: LoaderPort) -> int:
        return await super().attach_loader(self._me)


class LoaderActor:
    """`models`: all that may be loaded."""

    async def __init__(self, models: Sequence[ModelConfig]) -> None:
        router = _Router(ray.get_runtime_context().current_actor)
        self._loader = Loader(ServeApps(models), Book(home() / "run" / BOOK), router)
        self._tasks = [
            asyncio.create_task(_or_die(self._loader.run()), name="loader"),
            asyncio.create_task(_or_die(watch_nodes(self._loader.node_gone)), name="nodes"),
        ]

    async def carry_out(self, epoch: int, commands: Sequence[ToLoader]) -> None:
        await self._loader.carry_out(epoch, commands)


async def _or_die(work: Coroutine[Any, Any, None]) -> None:
    """A loader whose work has failed would look alive and do nothing: Ray starts another."""
    try:
        await work
    except Exception:
        log.exception("the loader starts anew")
        os._exit(1)
