"""The pool's own router as a policy: the very same `RouterMachine`, behind the lab's seam.

    lab's event ──> what gateway and fronts would say ──> machine ──> commands ──> placements, evictions

The machine hears of turns and leases at once and of everything else as late as in a pool: each front reports
its whole book once a second.  A report that would repeat the last one is left out: nothing falls silent in a
lab.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random

from cluster.core import commands, events
from cluster.core.context import Limits
from cluster.core.errors import ContextLengthExceeded, InvalidField
from cluster.core.facts import Locality
from cluster.core.ids import Cause, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId, SessionKey, TurnId
from cluster.core.learning import DEFAULT_BYTES_PER_TOKEN
from cluster.core.machine import RouterMachine
from cluster.simulate.engine import Engine
from cluster.simulate.front import Front
from cluster.simulate.job import Job
from cluster.simulate.lab import Model
from cluster.simulate.orders import Stock
from cluster.simulate.policy import Arrived, Began, Event, Evict, Finished, Order, Place, SaidFirst, Woke

GATEWAY = GatewayId("lab")
TICK_S = 0.25
REPORT_S = 1.0
"""Both as in a pool (`cluster.router`, `cluster.front`)."""

PEOPLE_WAIT = Limits(
    queue=1_000_000,
    queue_per_tenant=1_000_000,
    max_wait_s=math.inf,
    replica_silent_s=math.inf,
    gateway_silent_s=math.inf,
    node_silent_s=math.inf,
)
"""Nobody of a lab is refused or goes away, whoever decides: all policies answer the same turns."""


class Router:
    """Each model of a node is a replica of its own.  Sessions are of one tenant, as a gateway names them."""

    orders = Stock()

    def __init__(self, chance: Random) -> None:
        self.machine = RouterMachine(1, limits=PEOPLE_WAIT)
        self.wake_s = math.inf
        self._models: set[str] = set()
        self._fronts: dict[ReplicaId, Front] = {}
        self._waiting: dict[TurnId, Job] = {}
        self._running: dict[TurnId, tuple[Front, LeaseId]] = {}
        self._orders: list[Order] = []
        self._ticked_at = 0.0

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]:
        match event:
            case Arrived(job):
                if job.model.name not in self._models:
                    self._introduce(job.model, engines, now)
                self._arrive(job, now)
            case SaidFirst(job):
                self._tell(events.FirstToken(_turn(job), _cause(job)), now)
            case Finished(job):
                self._finish(job, now)
            case Woke():
                self._tick(now)
            case Began():
                pass  # only the engine knows
        self._report(now)
        self.wake_s = self._next_tick_s()
        orders, self._orders = self._orders, []
        return orders

    def _introduce(self, model: Model, engines: Mapping[str, Engine], now: float) -> None:
        """What the start of the model's replicas tells.  Its first turn is the first that is seen of it."""
        cause = Cause(f"start:{model.name}")
        deployment = DeploymentId(model.name)
        self._models.add(model.name)
        self._tell(events.GatewayUp(GATEWAY, cause), now)
        self._tell(events.DeploymentDeclared(deployment, model.name, Locality.LOCAL, cause), now)
        for engine in engines.values():
            if model.name in engine.node.prefill_tokens_per_s:
                front = Front(engine, model)
                self._fronts[front.replica] = front
                self._tell(events.NodeUp(NodeId(engine.node.name), round(engine.node.kv_bytes), cause), now)
                self._tell(front.ready(), now)

    def _arrive(self, job: Job, now: float) -> None:
        turn = _turn(job)
        self._waiting[turn] = job
        num_bytes = round(job.input_tokens * DEFAULT_BYTES_PER_TOKEN)
        session = SessionKey(GATEWAY, job.session)
        arrived = events.TurnArrived(
            turn, GATEWAY, session, job.model.name, num_bytes, _cause(job), patience_s=math.inf
        )
        self._tell(arrived, now)

    def _finish(self, job: Job, now: float) -> None:
        """The front grows a lease by itself where nobody answered in time, then ends it."""
        turn = _turn(job)
        front, lease = self._running.pop(turn)
        self._evicted(front, front.grow(lease, job.tokens))
        self._tell(front.close(lease, now), now)
        finished = events.TurnFinished(turn, job.input_tokens, job.hit_tokens, job.output_tokens, _cause(job))
        self._tell(finished, now)

    def _tick(self, now: float) -> None:
        self._ticked_at = now
        for front in self._fronts.values():
            for ask in list(front.asks()):
                self._tell(ask, now)
        self._tell(events.Tick(Cause("tick")), now)

    def _report(self, now: float) -> None:
        for front in self._fronts.values():
            if front.has_news and now - front.reported_at >= REPORT_S:
                self._tell(front.report(now), now)

    def _next_tick_s(self) -> float:
        """While nothing waits only the reports matter, while nothing runs and nothing is new nothing does."""
        if self._waiting:
            return self._ticked_at + TICK_S
        is_due = self._running or any(front.has_news for front in self._fronts.values())
        return self._ticked_at + REPORT_S if is_due else math.inf

    def _tell(self, event: events.Event, now: float) -> None:
        due = deque([event])
        while due:
            for command in self.machine.handle(due.popleft(), now):
                due.extend(self._obey(command))

    def _obey(self, command: commands.Command) -> Sequence[events.Event]:
        """Carries a command out, and returns what comes back of it at once."""
        match command:
            case commands.Place():
                return [self._present(command)]
            case commands.Measure(turn=turn):
                tokens = self._waiting[turn].input_tokens
                return [events.TurnMeasured(turn, tokens, command.cause)]
            case commands.Evict(replica=replica, session=session):
                front = self._fronts[replica]
                if front.evict(session):
                    self._evicted(front, [session])
            case commands.Extend(replica=replica):
                front = self._fronts[replica]
                self._evicted(front, front.grow(command.lease, command.reserved_tokens))
            case commands.Reject(turn=turn, error=error):
                job = self._waiting[turn]
                problem = f"the router refuses a turn of {job.tokens:,} tokens of {job.model.name}: {error}"
                raise InvalidField("sessions", problem, "Leave out what is longer, or add memory.")
            case _:
                pass  # what people are told; and Preempt: the engine has kept room for the whole answer
        return ()

    def _present(self, place: commands.Place) -> events.Event:
        """The gateway goes to the front with its ticket."""
        front, job = self._fronts[place.replica], self._waiting[place.turn]
        if not front.has_window_for(job):
            # A real front would begin, and the turn go on elsewhere with its answer as a part of the prompt.
            reason, tokens = ContextLengthExceeded.code, job.tokens
            return events.GrantRefused(place.turn, place.lease, reason, tokens, place.cause)
        idle = front.book(place, job)
        if idle is None:
            return events.GrantRefused(place.turn, place.lease, "no_room", job.input_tokens, place.cause)
        self._evicted(front, idle)
        self._orders.append(Place(self._waiting.pop(place.turn), place.node))
        self._running[place.turn] = front, place.lease
        return front.started(place, job)

    def _evicted(self, front: Front, sessions: Sequence[SessionKey]) -> None:
        self._orders.extend(Evict(key.session, front.engine.node.name) for key in sessions)


def _turn(job: Job) -> TurnId:
    return TurnId(str(job.number))


def _cause(job: Job) -> Cause:
    return Cause(str(job.number))
