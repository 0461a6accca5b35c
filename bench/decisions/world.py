"""The home in virtual time: what it tells a machine, and what it does with the machine's commands.

Turns come in a closed loop; fronts report once a second, the clock ticks four times a second.  Nothing here
is measured but `Meter.handle`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from math import pi, sin

from bench.decisions.home import ANSWER_TOKENS, CAUSE, NEW_TOKENS, WINDOW_TOKENS, Front, Home, Session
from bench.decisions.meter import Meter
from bench.decisions.settings import DecisionsSettings
from cluster.core.commands import Command, Evict, Extend, Measure, Place, Preempt, Reject
from cluster.core.events import (
    DeploymentDeclared,
    ExtensionAsked,
    FirstToken,
    GatewayUp,
    GrantRefused,
    LeaseEnded,
    LeaseStarted,
    StreamLost,
    Tick,
    TurnArrived,
    TurnFinished,
    TurnMeasured,
)
from cluster.core.facts import Feature, Locality
from cluster.core.ids import GatewayId, LeaseId, TurnId
from cluster.core.ledger import Reservation

WIRE_S = 0.002
WAVE_S = 60.0
RETRY_S = 5.0
TICK_S = 0.25
GATEWAY = GatewayId("gateway")


@dataclass
class Run:
    """A turn of a session on its way.  `prompt` and `answer`: its true tokens; `done`: generated so far."""

    turn: TurnId
    session: Session
    prompt: int
    answer: int
    done: int = 0
    lease: LeaseId | None = None
    begun_at: float = 0.0


class World:
    """`meter`: stands for the router."""

    def __init__(self, settings: DecisionsSettings, home: Home, meter: Meter) -> None:
        self.settings, self.home, self.meter = settings, home, meter
        self.now, self.num_finished, self.num_waited = 0.0, 0, 0
        self.runs: dict[TurnId, Run] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._turns = count(), count()
        self._think_s = self._thinking_s()
        for model in home.models:
            for front in home.fronts.values():
                if front.ready.model == model:
                    name = front.ready.deployment
                    self.tell(DeploymentDeclared(name, model, Locality.LOCAL, CAUSE))
        for front in home.fronts.values():
            self.tell(replace(front.ready, resident=front.resident()))
            self.at(home.chance.random(), self._reporter(front))
        for session in home.sessions:
            self.at(home.chance.expovariate(1 / self._think_s), self._beginner(session))
        self.at(0.0, self._tick)
        self.at(0.0, self._beat)

    def run(self, num_turns: int) -> None:
        """Until so many more turns have finished."""
        until = self.num_finished + num_turns
        while self.num_finished < until:
            self.now, _, do = heappop(self._agenda)
            do()

    def at(self, after_s: float, do: Callable[[], None]) -> None:
        heappush(self._agenda, (self.now + after_s, next(self._order), do))

    def tell(self, event: object) -> None:
        for command in self.meter.handle(event, self.now):
            self._carry(command)

    def _thinking_s(self) -> float:
        """The mean time between an answer and the next turn that keeps about the wanted share of slots busy;
        of contexts that memory has no room for, half are taken to be computed again."""
        home, fronts = self.home, self.home.fronts.values()
        slots = sum(front.ready.capacity.num_slots for front in fronts)
        context = sum(session.tokens for session in home.sessions) / len(home.sessions)
        missing = max(1 - self.settings.memory_share, 0) / 2 * context + sum(NEW_TOKENS) / 2
        answer = sum(ANSWER_TOKENS) / 2
        turn_s = sum(
            front.ready.capacity.num_slots
            * (answer / front.speed.decode_tps + missing / front.speed.prefill_tps)
            for front in fronts
        )
        return max(len(home.sessions) / (slots * self.settings.busy) - 1, 0.1) * turn_s / slots

    # heartbeats

    def _tick(self) -> None:
        self.at(TICK_S, self._tick)
        self.tell(Tick(CAUSE))

    def _beat(self) -> None:
        self.at(1.0, self._beat)
        self.tell(GatewayUp(GATEWAY, CAUSE))

    def _reporter(self, front: Front) -> Callable[[], None]:
        def report() -> None:
            self.at(1.0, report)
            self.tell(front.report())

        return report

    # turns

    def _beginner(self, session: Session) -> Callable[[], None]:
        return lambda: self._begin(session)

    def _begin(self, session: Session) -> None:
        chance = self.home.chance
        prompt, answer = session.tokens + chance.randint(*NEW_TOKENS), chance.randint(*ANSWER_TOKENS)
        if prompt + answer >= WINDOW_TOKENS:
            self._replace(session)
            prompt = session.tokens
        run = Run(TurnId(f"turn-{next(self._turns)}"), session, prompt, answer, begun_at=self.now)
        self.runs[run.turn] = run
        self.tell(
            TurnArrived(
                turn=run.turn,
                gateway=GATEWAY,
                session=session.key,
                model=session.model,
                prompt_bytes=int(prompt * session.bytes_per_token),
                cause=CAUSE,
                max_tokens=None if chance.random() < 0.5 else 4096,
                needs=frozenset({Feature.CHAT}),
            )
        )
        if run.lease is None and run.turn in self.runs:
            self.num_waited += 1

    def _replace(self, session: Session) -> None:
        """It is over, and another one begins."""
        fresh = self.home.new_session(session.model)
        session.key, session.tokens, session.bytes_per_token = fresh.key, fresh.tokens, fresh.bytes_per_token

    def _think(self, session: Session) -> None:
        wave = 1 + self.settings.wave * sin(2 * pi * self.now / WAVE_S)
        self.at(self.home.chance.expovariate(wave / self._think_s), self._beginner(session))

    def _carry(self, command: Command) -> None:
        match command:
            case Place():
                self.runs[command.turn].lease = command.lease
                self.at(WIRE_S, lambda: self._present(command))
            case Evict(replica=name, session=session):
                self.home.fronts[name].ledger.forget(session)
            case Extend(replica=name, lease=lease):
                ledger = self.home.fronts[name].ledger
                if lease in ledger.leases and ledger.room_to_grow(lease, command.reserved_tokens) <= 0:
                    ledger.resize(lease, command.reserved_tokens)
            case Preempt(replica=name, lease=lease):
                self.at(WIRE_S, lambda: self._preempted(self.home.fronts[name], lease))
            case Measure(turn=turn):
                self.at(WIRE_S, lambda: self._measured(turn))
            case Reject(turn=turn):
                session = self.runs.pop(turn).session
                self.at(RETRY_S, self._beginner(session))
            case _:
                pass

    def _measured(self, turn: TurnId) -> None:
        run = self.runs.get(turn)
        if run is not None:
            self.tell(TurnMeasured(turn, run.prompt + run.done, CAUSE))

    def _present(self, place: Place) -> None:
        run, front = self.runs[place.turn], self.home.fronts[place.replica]
        needed = run.prompt + run.done
        hit = min(front.hit_tokens(place.session), needed)
        size = max(place.reserved_tokens, needed + 1)
        if not front.book(Reservation(place.lease, place.turn, place.session, size)):
            run.lease = None
            self.tell(GrantRefused(place.turn, place.lease, "no_room", needed, CAUSE))
            return
        booked = front.ledger.leases[place.lease].reserved_tokens
        self.tell(LeaseStarted(place.replica, place.boot, place.lease, needed, booked, CAUSE))
        prefill_s = (needed - hit) / front.speed.prefill_tps * self._noise()
        self.at(prefill_s, lambda: self._first(place, hit))

    def _noise(self) -> float:
        return self.home.chance.uniform(0.8, 1.25)

    def _first(self, place: Place, hit: int) -> None:
        run = self._of(place)
        if run is None:
            return
        self.tell(FirstToken(place.turn, CAUSE))
        front = self.home.fronts[place.replica]
        whole_s = (run.answer - run.done) / front.speed.decode_tps * self._noise()
        missing = run.prompt + run.answer - front.ledger.leases[place.lease].reserved_tokens
        if missing > 0:
            self.at(whole_s / 2, lambda: self._ask(place))
        self.at(whole_s, lambda: self._end(place, hit))

    def _of(self, place: Place) -> Run | None:
        run = self.runs.get(place.turn)
        return run if run is not None and run.lease == place.lease else None

    def _ask(self, place: Place) -> None:
        run = self._of(place)
        if run is not None:
            wanted = run.prompt + run.answer
            self.tell(ExtensionAsked(place.replica, place.boot, place.lease, wanted, CAUSE))

    def _preempted(self, front: Front, lease: LeaseId) -> None:
        """Half of what was missing had come by then."""
        held = front.ledger.leases.get(lease)
        if held is None:
            return
        run = self.runs[held.turn]
        run.done, run.lease = min(run.done + (run.answer - run.done) // 2 + 1, run.answer - 1), None
        self._free(front, lease, run.prompt + run.done)
        self.tell(StreamLost(held.turn, lease, run.prompt + run.done, run.done, True, True, CAUSE))

    def _free(self, front: Front, lease: LeaseId, tokens: int) -> None:
        front.ledger.end(lease, tokens, self.now)
        front.ended.append(lease)
        self.tell(LeaseEnded(front.ready.replica, front.ready.boot, lease, tokens, CAUSE))

    def _end(self, place: Place, hit: int) -> None:
        run = self._of(place)
        if run is None:
            return
        del self.runs[run.turn]
        self.num_finished += 1
        run.session.tokens = run.prompt + run.answer
        self._free(self.home.fronts[place.replica], place.lease, run.session.tokens)
        self.tell(TurnFinished(run.turn, run.prompt, hit, run.answer, CAUSE))
        self._think(run.session)
