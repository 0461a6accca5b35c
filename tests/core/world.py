"""A small world around the machine: fronts with real ledgers, gateways, and the wires between them.

Wires deliver in order, late, or not at all; nothing here decides anything the machine should.
Turns have a true prompt size and a true output length, which the machine does not know.
"""

from collections import deque

from cluster.core.commands import (
    Command,
    Commit,
    Drain,
    Evict,
    Extend,
    Measure,
    Place,
    Preempt,
    Reject,
    ToFront,
    ToGateway,
    ToLoader,
)
from cluster.core.errors import Overloaded
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentWithdrawn,
    DrainAsked,
    Event,
    ExtensionAsked,
    FirstToken,
    GatewayUp,
    GrantRefused,
    LeaseStarted,
    NodeGone,
    ReplicaDraining,
    ReplicaGone,
    StreamLost,
    Tick,
    TurnCancelled,
    TurnFinished,
    TurnMeasured,
)
from cluster.core.eviction import victims_for_tokens
from cluster.core.facts import Capacity, Locality
from cluster.core.ids import (
    BootId,
    Cause,
    DeploymentId,
    GatewayId,
    LeaseId,
    NodeId,
    ReplicaId,
    TurnId,
)
from cluster.core.ledger import Ledger
from cluster.core.machine import RouterMachine
from tests.core.sim import MODEL, SimFront, SimTurn, ready_again, ready_of, retold

STEP = 64


class World:
    def __init__(self) -> None:
        self.now, self.epoch, self.num_boots, self.num_turns, self.num_rounds = 0.0, 1, 0, 0, 0
        self.machine = self.make_machine()
        self.fronts: dict[ReplicaId, SimFront] = {}
        self.turns: dict[TurnId, SimTurn] = {}
        self.to_gateway: dict[GatewayId, deque[ToGateway]] = {
            GatewayId("g1"): deque(),
            GatewayId("g2"): deque(),
        }
        self.to_front: dict[ReplicaId, deque[ToFront]] = {}
        self.declare()

    def make_machine(self) -> RouterMachine:
        return RouterMachine(self.epoch)

    def declare(self) -> None:
        self.tell(DeploymentDeclared(DeploymentId("d"), MODEL, Locality.LOCAL, Cause("config")))

    def tell(self, event: Event) -> None:
        for command in self.machine.handle(event, self.now):
            self.carry(command)

    def carry(self, command: Command) -> None:
        assert not isinstance(command, ToLoader)
        if isinstance(command, ToGateway):
            self._check_word(command)
            self.to_gateway[command.gateway].append(command)
        else:
            self.to_front.setdefault(command.replica, deque()).append(command)

    def _check_word(self, command: ToGateway) -> None:
        """A refusal that crosses with the gateway's own commitment is nobody's fault; any other is."""
        if isinstance(command, Reject) and isinstance(command.error, Overloaded):
            assert not self.turns[command.turn].committed, f"{command.turn} was refused after its 200"

    # fronts

    def boot(self, name: ReplicaId, capacity: Capacity) -> None:
        self.kill(name)
        self.num_boots += 1
        ready = ready_of(name, BootId(f"b{self.num_boots}"), capacity)
        self.fronts[name] = SimFront(ready, Ledger(capacity))
        self.to_front[name] = deque()
        self.fronts[name].say(ready)

    def kill(self, name: ReplicaId) -> None:
        front = self.fronts.pop(name, None)
        if front is None:
            return
        for event in front.outbox:
            self.tell(event)
        self.tell(ReplicaGone(name, front.ready.boot, "killed", Cause("kill")))
        for turn in self.turns.values():
            if turn.front == name and turn.streaming:
                self.lose(turn, preempted=False)

    def withdraw(self) -> None:
        self.tell(DeploymentWithdrawn(DeploymentId("d"), "it cannot be loaded", Cause("given up")))

    def drain(self, name: ReplicaId) -> None:
        self.tell(DrainAsked(name, Cause("people")))

    def lose_node(self, name: ReplicaId) -> None:
        """The node is taken for gone, rightly or not."""
        self.tell(NodeGone(NodeId(f"node of {name}"), Cause("node")))

    def flush(self, name: ReplicaId) -> None:
        """One word of the front reaches the router."""
        front = self.fronts.get(name)
        if front and front.outbox:
            self.tell(front.outbox.popleft())

    def obey(self, name: ReplicaId) -> None:
        """One command reaches the front."""
        pending, front = self.to_front.get(name), self.fronts.get(name)
        if not pending or front is None:
            return
        command = pending.popleft()
        if command.boot != front.ready.boot:
            return
        match command:
            case Extend(lease=lease) if lease in front.ledger.leases:
                if front.ledger.room_to_grow(lease, command.reserved_tokens) <= 0:
                    front.ledger.resize(lease, command.reserved_tokens)
            case Evict():
                front.ledger.forget(command.session)
            case Drain() if not front.draining:
                front.draining = True
                front.say(ReplicaDraining(name, command.boot, command.cause))
            case Preempt(lease=lease) if lease in front.ledger.leases:
                self.preempt(front, lease)
            case _:
                pass

    def preempt(self, front: SimFront, lease: LeaseId) -> None:
        turn = self.turns[front.ledger.leases[lease].turn]
        front.end(lease, self.now)
        if turn.lease == lease and not turn.over:
            self.lose(turn, preempted=True)

    # gateways

    def arrive(self, turn: SimTurn) -> None:
        self.turns[turn.arrived.turn] = turn
        self.tell(turn.arrived)

    def deliver(self, gateway: GatewayId) -> None:
        if self.to_gateway[gateway]:
            command = self.to_gateway[gateway].popleft()
            turn = self.turns[command.turn]
            if not turn.over:
                self._gateway_takes(turn, command)
            elif not isinstance(command, Reject):
                self.tell(TurnCancelled(command.turn, Cause(command.turn)))

    def _gateway_takes(self, turn: SimTurn, command: ToGateway) -> None:
        match command:
            case Commit():
                turn.committed = True
            case Reject() if turn.streaming:
                turn.unread = command.error
            case Reject():
                turn.refuse(command.error)
            case Measure() if not turn.streaming:
                self.tell(TurnMeasured(command.turn, turn.prompt + turn.generated, Cause("measure")))
            case Place() if not turn.streaming:
                self._present(turn, command)
            case _:
                pass

    def _present(self, turn: SimTurn, place: Place) -> None:
        front, cause = self.fronts.get(place.replica), Cause(place.turn)
        if front is None or front.ready.boot != place.boot or not place.lease.startswith(f"{self.epoch}-"):
            self.tell(GrantRefused(place.turn, place.lease, "stale_ticket", None, cause))
            return
        if front.draining:
            self.tell(GrantRefused(place.turn, place.lease, "draining", None, cause))
            return
        exact = turn.prompt + turn.generated
        size = max(place.reserved_tokens, exact + min(turn.output, 1))
        if not front.book(turn, place, size, self.now):
            self.tell(GrantRefused(place.turn, place.lease, "no_room", exact, cause))
            return
        turn.lease, turn.front, turn.streaming, turn.committed = place.lease, place.replica, True, True
        booked = front.ledger.leases[place.lease].reserved_tokens
        front.say(LeaseStarted(place.replica, place.boot, place.lease, exact, booked, cause))

    def announce(self, turn: SimTurn) -> None:
        """The gateway tells of its turn again; it may have committed by itself."""
        turn.committed = True
        self.tell(retold(turn))

    def gateway_dies(self, gateway: GatewayId) -> None:
        """Its clients are gone with it, and nobody tells the router."""
        self.to_gateway[gateway].clear()
        for turn in self.turns.values():
            if turn.arrived.gateway == gateway and not turn.over:
                if turn.streaming:
                    self.release(turn)
                turn.end("cancelled")
        self.pass_time(11.0, silent=gateway)

    def lose(self, turn: SimTurn, preempted: bool) -> None:
        lease, turn.streaming = turn.lease, False
        assert lease is not None
        exact = turn.prompt + turn.generated
        event = StreamLost(
            turn.arrived.turn, lease, exact, turn.generated, preempted, True, Cause(turn.arrived.turn)
        )
        self.tell(event)
        if turn.unread is not None:
            turn.refuse(turn.unread)

    def generate(self, turn: SimTurn, num_tokens: int) -> None:
        """The engine makes tokens; the front asks for more room, helps itself, or gives the turn up."""
        name, booked = turn.place
        front = self.fronts[name]
        lease = front.ledger.leases[booked]
        for _ in range(num_tokens):
            if turn.generated >= turn.output:
                self.finish(turn)
                return
            full = front.used[lease.lease] + 1 > front.ledger.leases[lease.lease].reserved_tokens
            if full and not self._grow(front, lease.lease):
                self.preempt(front, lease.lease)
                return
            front.used[lease.lease] += 1
            turn.generated += 1
            if turn.generated == 1:
                self.tell(FirstToken(turn.arrived.turn, Cause(turn.arrived.turn)))
        if front.ledger.leases[lease.lease].reserved_tokens - front.used[lease.lease] < STEP // 2:
            self._ask(front, lease.lease)

    def _ask(self, front: SimFront, lease: LeaseId) -> None:
        wanted = front.ledger.leases[lease].reserved_tokens + STEP
        front.say(ExtensionAsked(front.ready.replica, front.ready.boot, lease, wanted, Cause(lease)))

    def _grow(self, front: SimFront, lease: LeaseId) -> bool:
        wanted = front.ledger.leases[lease].reserved_tokens + 1
        most = min(front.ready.capacity.kv_tokens, front.ready.capacity.window_tokens)
        chosen = victims_for_tokens(front.ledger, front.ledger.room_to_grow(lease, wanted))
        if wanted > most or chosen is None:
            return False
        for session in chosen:
            front.ledger.forget(session)
        front.ledger.resize(lease, wanted)
        return True

    def release(self, turn: SimTurn) -> None:
        """The front ends the turn's lease."""
        front, lease = turn.place
        self.fronts[front].end(lease, self.now)
        turn.streaming = False

    def finish(self, turn: SimTurn) -> None:
        self.release(turn)
        turn.end("answered")
        self.tell(TurnFinished(turn.arrived.turn, turn.prompt, 0, turn.generated, Cause(turn.arrived.turn)))

    def cancel(self, turn: SimTurn) -> None:
        if turn.streaming:
            self.release(turn)
        turn.end("cancelled")
        self.tell(TurnCancelled(turn.arrived.turn, Cause(turn.arrived.turn)))

    # time and routers

    def pass_time(self, seconds: float, silent: str = "") -> None:
        """All are heard but the gateway or the front of this name."""
        self.now += seconds
        for gateway in self.to_gateway:
            if gateway != silent:
                self.tell(GatewayUp(gateway, Cause("heartbeat")))
        for name, front in self.fronts.items():
            if name == silent:
                continue
            front.report()
            while front.outbox:
                self.tell(front.outbox.popleft())
        self.tell(Tick(Cause("tick")))

    def new_router(self) -> None:
        """The router is lost with all it knew; commands on their way are of the old epoch and dropped."""
        self.epoch += 1
        self.machine = self.make_machine()
        for pending in (*self.to_gateway.values(), *self.to_front.values()):
            pending.clear()
        self.declare()
        for front in self.fronts.values():
            front.outbox.clear()
            leases, resident = front.views()
            self.tell(ready_again(front.ready, leases, resident))
        for turn in self.turns.values():
            if not turn.over:
                self.tell(retold(turn))

    def check(self) -> None:
        self.machine.check()
        for front in self.fronts.values():
            front.ledger.check()
            for lease, used in front.used.items():
                assert used <= front.ledger.leases[lease].reserved_tokens, "the engine holds more than booked"
        for turn in self.turns.values():
            assert turn.num_answers <= 1, f"{turn.arrived.turn} was answered twice"

    def settle(self) -> None:
        """Lets everything run to its end: wires deliver, engines finish."""
        for _ in range(400):
            self.round()
            if all(turn.over for turn in self.turns.values()):
                break
        for _ in range(20):  # a lost measure is given up after five seconds, a grant nobody wants after ten
            self.round()

    def round(self) -> None:
        self.num_rounds += 1
        self.pass_time(1.0)
        self.check()
        for name in list(self.fronts):
            while self.to_front.get(name):
                self.obey(name)
        for gateway, pending in self.to_gateway.items():
            while pending:
                self.deliver(gateway)
        for turn in list(self.turns.values()):
            if turn.streaming:
                self.generate(turn, 200)
