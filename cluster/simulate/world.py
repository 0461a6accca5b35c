"""The lab in motion: people who think, ask and wait, a virtual clock, and a policy that decides.

A closed loop: each of `num_sessions` places holds one session at a time.  The next turn comes its think time
after the last answer; a session that is over is replaced by the next of the trace, as a new one.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from random import Random

from cluster.core.errors import InvalidField
from cluster.simulate.engine import Device, Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import Lab, Node
from cluster.simulate.policy import (
    Arrived,
    Began,
    Event,
    Evict,
    Finished,
    Place,
    Policy,
    Rehearse,
    SaidFirst,
    Woke,
)
from cluster.simulate.trace import Session, Turn

START_WITHIN_S = 600.0
REPLACED_AFTER_S = 30.0
"""Mean of an exponential.  Both as in the reference simulation."""


@dataclass(frozen=True, slots=True)
class Load:
    """`num_turns` arrive in all, each of them is answered, and then the run ends."""

    sessions: Sequence[Session]
    num_sessions: int
    num_turns: int
    seed: int


@dataclass(slots=True)
class Life:
    """One session: `name` is new for each, `at` counts its turns."""

    name: str
    turns: Sequence[Turn]
    model: int
    at: int = 0

    @property
    def is_over(self) -> bool:
        return self.at == len(self.turns)


class World:
    """`told`: called with the number of turns finished, now and then.  `believed`: the lab's nodes as the
    policy takes them; None: as they are."""

    def __init__(
        self,
        lab: Lab,
        device: Device,
        policy: Policy,
        load: Load,
        told: Callable[[int], None] = lambda _: None,
        believed: Sequence[Node] | None = None,
    ) -> None:
        self.lab, self.load, self.policy = lab, load, policy
        self.engines: Mapping[str, Engine] = {
            node.name: Engine(thought, device, policy.orders, node)
            for thought, node in zip(believed or lab.nodes, lab.nodes, strict=True)
        }
        self.now = 0.0
        self._told = told
        self._chance = Random(load.seed)
        self._order = _shuffled(load.sessions, self._chance)
        self._numbers = count()
        self._coming: list[tuple[float, int, Life]] = []
        self._lives: dict[str, Life] = {}
        self._num_arrived = 0
        self._finished: list[Job] = []

    def run(self) -> list[Job]:
        """All turns, in the order in which they finished."""
        self.begin()
        while len(self._finished) < self.load.num_turns:
            self._step()
        return self._finished

    def begin(self) -> None:
        for place in range(self.load.num_sessions):
            self._replace(self._chance.uniform(0, START_WITHIN_S), place)

    def go_on(self, life: Life) -> None:
        """What comes after an answer."""
        if life.is_over:
            self.end(life)
            self._replace(self.now + self._chance.expovariate(1 / REPLACED_AFTER_S), life.model)
        else:
            self.come(self.now + life.turns[life.at].think_s, life)

    def live(self, life: Life, at_s: float) -> None:
        self._lives[life.name] = life
        self.come(at_s, life)

    def end(self, life: Life) -> None:
        del self._lives[life.name]

    def come(self, at_s: float, life: Life) -> None:
        """Its next turn arrives then."""
        heapq.heappush(self._coming, (at_s, next(self._numbers), life))

    def _step(self) -> None:
        engine = min(self.engines.values(), key=lambda each: each.next_s)
        arrives_s = self._coming[0][0] if self._is_open() else math.inf
        due_s = min(engine.next_s, arrives_s, self.policy.wake_s)
        if due_s == math.inf:
            raise RuntimeError("the policy keeps turns and asks for no time to place them")
        self.now = max(self.now, due_s)
        if due_s == engine.next_s:
            self._work(engine)
        elif due_s == arrives_s:
            self._arrive(heapq.heappop(self._coming)[2])
        else:
            self._tell(Woke())

    def _is_open(self) -> bool:
        return bool(self._coming) and self._num_arrived < self.load.num_turns

    def _work(self, engine: Engine) -> None:
        began, first, finished = engine.step(self.now)
        for job in first:
            self._tell(SaidFirst(job))
        for job in finished:
            self._finish(job)
        for job in began:
            self._tell(Began(job))

    def _arrive(self, life: Life) -> None:
        turn, model = life.turns[life.at], self.lab.models[life.model]
        job = Job(
            number=self._num_arrived,
            session=life.name,
            model=model,
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
            kept_tokens=turn.kept_tokens,
            arrived_s=self.now,
        )
        if not any(engine.holds(job) for engine in self.engines.values()):
            problem = f"a turn of {job.tokens:,} tokens of {model.name} fits no node of the lab."
            raise InvalidField("sessions", problem, "Leave out what is longer, or add memory.")
        self._num_arrived += 1
        for engine in self.engines.values():
            engine.end_rehearsal(self.now, job.session)
            engine.cut(job.session, job.kept_tokens)
        self._tell(Arrived(job))

    def _finish(self, job: Job) -> None:
        self._finished.append(job)
        life = self._lives[job.session]
        life.at += 1
        self._tell(Finished(job, life.is_over))
        self.go_on(life)
        self._told(len(self._finished))

    def _replace(self, at_s: float, model: int) -> None:
        session = next(self._order)
        name = f"{session.name}#{next(self._numbers)}"
        self.live(Life(name, session.turns, model % len(self.lab.models)), at_s)

    def _tell(self, event: Event) -> None:
        for engine in self.engines.values():
            engine.advance(self.now)
        for order in self.policy.handle(event, self.engines, self.now):
            match order:
                case Place():
                    self._place(order)
                case Evict(session, node):
                    self.engines[node].cut(session, 0)
                case Rehearse(job, node):
                    self.engines[node].rehearse(job, self.now)

    def _place(self, placed: Place) -> None:
        engine = self.engines[placed.node]
        if not engine.holds(placed.job):
            raise RuntimeError(f"{placed.node} can never hold turn {placed.job.number}")
        began = self.engines[placed.job.node].withdraw(placed.job, self.now) if placed.job.node else []
        for job in (*began, *engine.submit(placed.job, self.now)):
            self._tell(Began(job))


def _shuffled(sessions: Sequence[Session], chance: Random) -> Iterator[Session]:
    order = list(sessions)
    chance.shuffle(order)
    return cycle(order)
