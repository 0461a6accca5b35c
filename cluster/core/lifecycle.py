"""The life of a managed deployment: where it stands, what it holds, and what has been learned of it.

A deployment's stages (the machine books its layout in every stage but the first and the last):

    UNLOADED   holds nothing             Load is said           -> LOADING
                                         a report names it      -> LOADING    (a router that starts anew)
    LOADING    on its way, or its        a replica is ready     -> READY
               replica restarts          LoadFailed, lost node  -> UNLOADING
    READY      a replica answers         victim, idle, a person -> UNLOADING
                                         its replica is gone    -> LOADING    (it restarts in its memory)
    UNLOADING  drains, then Unload is    no report names it     -> UNLOADED, or FAILED
               said until it is gone
    FAILED     given up, with a reason   LoadAsked, a new node  -> UNLOADED
    LOADING, READY                       named, then no more    -> UNLOADED, or FAILED (the loader lost it)
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from cluster.core.ids import NodeId
from cluster.core.layout import Layout
from cluster.core.learning import smooth
from cluster.core.pool_events import DeploymentDeclared

START_S = 5.0
LOAD_BYTES_PER_S = 1e9
"""What a start takes, and reads a second, until one was seen."""

DEMAND_HALF_LIFE_S = 600.0
"""Half of a turn's weight in its model's demand is gone after this time."""


class Stage(StrEnum):
    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(slots=True)
class Life:
    """Times are the machine's `now`.

    `since`: when the stage began.  `layout`: what is booked for it.  `named`: a report has named it since
    Load was said.  `adopted_at`: when it was met in a report, not having been asked for.
    `load_said_at`, `unload_again_at`: the last time; `unload_said_at`: the first time of this end.
    `began_at`: when its start began, None where that is not known, or over.
    `ready_at`: the last time it began to answer; `busy_at`: the last time it had a turn; `closed_at`: the
    last time it stopped to take turns.
    `asked_at`: a person wants it loaded; `dismissed`: a person wanted its memory.  `preload`: it is loaded
    where that unloads nothing.  `swapped`: other models were unloaded for it, or it for another.
    `surely_lost`: its engine is known to be dead, silent fronts are not waited for.
    `num_failures`: starts that failed in a row; not tried again before `retry_at`, and rather not on the
    nodes to `avoid`.  `withdrawn`: for good.
    `why_not`: why there is no room for it now.  `starts_at`: when room is made for it, as far as known.
    `demand`: turns, half of each forgotten in DEMAND_HALF_LIFE_S, as of `demand_at`.  `totals`: what was
    done, by the names of `view.LoadTotals`.
    """

    declared: DeploymentDeclared
    since: float
    stage: Stage = Stage.UNLOADED
    layout: Layout | None = None
    named: bool = False
    adopted_at: float | None = None
    load_said_at: float | None = None
    unload_said_at: float | None = None
    unload_again_at: float | None = None
    began_at: float | None = None
    ready_at: float = 0.0
    busy_at: float = 0.0
    closed_at: float = 0.0
    asked_at: float | None = None
    dismissed: bool = False
    preload: bool = True
    swapped: bool = False
    surely_lost: bool = False
    num_failures: int = 0
    retry_at: float = 0.0
    avoid: frozenset[NodeId] = frozenset()
    withdrawn: bool = False
    why_not: str = ""
    starts_at: float | None = None
    demand: float = 0.0
    demand_at: float = 0.0
    learned_load_s: float | None = None
    totals: Counter[str] = field(default_factory=Counter[str])

    @property
    def keep_warm(self) -> bool:
        return self.declared.keep_warm

    @property
    def coming(self) -> bool:
        """Whether a replica may come of which nothing is known yet."""
        return self.stage in (Stage.LOADING, Stage.UNLOADING)

    @property
    def load_s(self) -> float:
        """Seconds from Load to a ready replica: as learned, else as its bytes suggest."""
        if self.learned_load_s is not None:
            return self.learned_load_s
        wish = self.declared.wish
        largest = max((variant.weights_bytes for variant in wish.variants), default=0) if wish else 0
        size = self.layout.memory_bytes if self.layout is not None else largest
        return START_S + size / LOAD_BYTES_PER_S

    def enter(self, stage: Stage, now: float) -> None:
        self.stage, self.since = stage, now

    def learn_load(self, seconds: float) -> None:
        self.totals["num_ready"] += 1
        self.totals["load_ms"] += round(1000 * seconds)
        known = self.learned_load_s
        self.learned_load_s = seconds if known is None else smooth(known, seconds)

    def demand_now(self, now: float) -> float:
        return self.demand * 0.5 ** ((now - self.demand_at) / DEMAND_HALF_LIFE_S)

    def wanted_once(self, now: float) -> None:
        """One more turn for it."""
        self.demand, self.demand_at, self.busy_at = self.demand_now(now) + 1.0, now, now
        self.dismissed = False


@dataclass(slots=True)
class Start:
    """How far a start has come, as its replica last said.  `began_at`: when this stage of it was first
    heard of; `heard_at`: when anything was."""

    stage: str
    fraction: float | None
    began_at: float
    heard_at: float
