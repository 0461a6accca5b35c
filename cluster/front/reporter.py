"""What the router hears of a front: events at once and in order, the whole ledger once a second.

A router that does not answer is told later; what does not fit in the meantime is healed by the next whole
report.  A router of a new epoch is told everything with `ReplicaReady`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from cluster.core.events import Event, ReplicaReady, ReplicaReport
from cluster.core.ids import LeaseId
from cluster.front.limits import FrontLimits
from cluster.ports import RouterAway, RouterPort


class Reporter:
    """`ready` and `report` look at the ledger as it is when they are called; `report` takes the leases
    that ended since the last report that arrived."""

    def __init__(
        self,
        router: RouterPort,
        secret: bytes,
        ready: Callable[[], ReplicaReady],
        report: Callable[[Sequence[LeaseId]], ReplicaReport],
        limits: FrontLimits,
        now: Callable[[], float],
    ) -> None:
        self.epoch = 0
        self._router, self._secret = router, secret
        self._ready, self._report = ready, report
        self._limits, self._now = limits, now
        self._pending: deque[Event] = deque(maxlen=limits.num_pending_events)
        self._ended: deque[LeaseId] = deque(maxlen=limits.num_pending_events)
        self._news = asyncio.Event()
        self._reported_at = float("-inf")
        self._lock = asyncio.Lock()

    def say(self, event: Event) -> None:
        self._pending.append(event)
        self._news.set()

    def ended(self, lease: LeaseId) -> None:
        self._ended.append(lease)

    async def run(self) -> None:
        """Reports for ever."""
        retry_s = self._limits.retry_s
        while True:
            try:
                await self.flush()
            except (RouterAway, TimeoutError):
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, self._limits.max_retry_s)
                continue
            retry_s = self._limits.retry_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._news.wait()

    def _wait_s(self) -> float:
        return max(0.0, self._reported_at + self._limits.report_s - self._now())

    async def flush(self) -> None:
        """Says what there is to say.  Raises RouterAway or TimeoutError; nothing is lost then."""
        async with self._lock:
            if self.epoch == 0:
                await self._introduce()
            self._news.clear()
            epoch = await self._post()
            if epoch > self.epoch:
                await self._introduce()

    async def _introduce(self) -> None:
        async with asyncio.timeout(self._limits.post_s):
            epoch = await self._router.ready(self._ready(), self._secret)
        self.epoch = max(self.epoch, epoch)

    async def _post(self) -> int:
        sending, ended = list(self._pending), list(self._ended)
        self._pending.clear()
        is_due = self._wait_s() == 0.0
        batch = [*sending, self._report(ended)] if is_due else sending
        if not batch:
            return self.epoch
        try:
            async with asyncio.timeout(self._limits.post_s):
                epoch = await self._router.post(batch)
            if epoch < self.epoch:
                raise RouterAway("an older router answered")
        except BaseException:
            self._keep(sending)
            raise
        if is_due:
            self._reported_at = self._now()
            self._drop_ended(len(ended))
        return epoch

    def _keep(self, unsent: Sequence[Event]) -> None:
        """Puts what was not delivered back in front; where that is too much, the oldest are left out."""
        newer = list(self._pending)
        self._pending.clear()
        self._pending.extend([*unsent, *newer])

    def _drop_ended(self, num: int) -> None:
        for _ in range(min(num, len(self._ended))):
            self._ended.popleft()
