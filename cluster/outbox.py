"""Messages to one receiver: in order, bounded, each with a deadline, never waited for by the sender."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

LIMIT = 4096
BATCH = 256


Message = TypeVar("Message")
Send = Callable[[Sequence[Message]], Awaitable[object]]


class Outbox(Generic[Message]):
    """Sends what is put into it from a task of its own, at most `batch` messages at once.

    A batch that fails or is late is dropped: whoever acts on messages must be able to act on their
    absence too.  A full outbox drops its oldest message.
    """

    def __init__(self, name: str, send: Send[Message], deadline_s: float, batch: int = BATCH) -> None:
        self._name, self._send, self._deadline_s, self._batch = name, send, deadline_s, batch
        self._queue: asyncio.Queue[Message] = asyncio.Queue(LIMIT)
        self._task = asyncio.create_task(self._run(), name=f"outbox {name}")

    def put(self, message: Message) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            log.warning("outbox %s is full: its oldest message is dropped", self._name)
        self._queue.put_nowait(message)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                async with asyncio.timeout(self._deadline_s):
                    await self._send(batch)
            except Exception as fault:  # noqa: BLE001 - a receiver that is away must not end its outbox
                log.warning("outbox %s: %d messages not delivered: %r", self._name, len(batch), fault)
