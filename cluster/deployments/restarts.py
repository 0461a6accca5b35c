"""When an engine is started again, and when that is given up."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """Given up after `num_starts` failures within `window_s` with no answer between them; 0: never.  Waits
    double up to `max_wait_s`."""

    num_starts: int = 5
    window_s: float = 300.0
    wait_s: float = 0.5
    max_wait_s: float = 30.0


ENGINE = RestartPlan()
UPSTREAM = RestartPlan(num_starts=0)
"""Somebody else starts and stops an upstream: it may come back at any time."""


class Restarts:
    """Counts the failures of one replica."""

    def __init__(self, plan: RestartPlan) -> None:
        self._plan = plan
        self._failed_at: deque[float] = deque(maxlen=max(plan.num_starts, 16))

    def answered(self) -> None:
        """It has served: what fails next is no start that fails again."""
        self._failed_at.clear()

    def failed(self, now: float) -> float | None:
        """Seconds to wait before the next start; None: give up."""
        self._failed_at.append(now)
        num = sum(now - at <= self._plan.window_s for at in self._failed_at)
        if self._plan.num_starts and num >= self._plan.num_starts:
            return None
        return min(self._plan.wait_s * 2 ** (num - 1), self._plan.max_wait_s)
