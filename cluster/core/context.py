"""What the handlers of one machine share: its state, what it has learned, its counts, its commands."""

from collections import Counter
from dataclasses import dataclass, field

from cluster.core.booking import Plans
from cluster.core.commands import Command, Reject
from cluster.core.errors import HearthError
from cluster.core.ids import Cause, LeaseId, ReplicaId
from cluster.core.learning import Memory
from cluster.core.placement import Policy
from cluster.core.queue import FairQueue
from cluster.core.state import Phase, Replica, State, Turn
from cluster.core.swap import SwapPolicy


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds and patience of the machine.  Seconds, except the queue's, which are turns.

    `commit_after_s` stays under the four seconds for which a status line may be held back.
    `max_wait_s` ends the wait of a committed turn: every wait has an end.  `forget_s`: so long after its
    last word nothing is kept of a node, a replica, or a turn whose lease is over.
    `lost_retry_s`: so long after a boot lost a turn it is not tried again: a dying engine's front often hears
    of its death later than the turns do.  `measure_ahead`: so many turns, of those that find no room, are
    measured while they wait.
    `swap_wait_s`: see `swap`.  `load_tries`: starts that fail in a row before a model is given up; after
    the first it is tried again in `load_retry_s`, then each time in twice that.
    `say_again_s`: so often an order that no report confirms is said.  `order_void_s`: so long after an
    order no report was made before it came.  `drain_silent_s`: so long a silent front is waited for before
    its engine is unloaded.  `node_back_s`: so long a silent node is expected back, before turns for what only
    it could hold are refused.  `settle_s`: what nobody waits for is loaded once no node came for so long.
    """

    queue: int = 512
    queue_per_tenant: int = 256
    commit_after_s: float = 3.5
    max_wait_s: float = 1800.0
    grant_void_s: float = 10.0
    replica_silent_s: float = 5.0
    node_silent_s: float = 10.0
    gateway_silent_s: float = 10.0
    measure_s: float = 5.0
    skip_s: float = 15.0
    max_losses: int = 3
    lost_retry_s: float = 2.0
    measure_ahead: int = 16
    forget_s: float = 3600.0
    swap_wait_s: float = 60.0
    load_tries: int = 4
    load_retry_s: float = 2.0
    say_again_s: float = 1.0
    order_void_s: float = 10.0
    drain_silent_s: float = 30.0
    node_back_s: float = 30.0
    settle_s: float = 1.0


@dataclass(slots=True)
class Context:
    """`dirty`: room may have appeared, the queue is worth another look.  `touched`: replicas at which
    something has changed since the last look."""

    epoch: int
    policy: Policy
    limits: Limits
    plans: Plans
    swapping: SwapPolicy
    state: State = field(default_factory=State)
    memory: Memory = field(default_factory=Memory)
    queue: FairQueue = field(default_factory=FairQueue)
    counts: Counter[str] = field(default_factory=Counter[str])
    commands: list[Command] = field(default_factory=list[Command])
    dirty: bool = False
    touched: dict[ReplicaId, Replica] = field(default_factory=dict[ReplicaId, Replica])
    num_leases_made: int = 0

    def touch(self, replica: Replica) -> None:
        """To be said by whoever changes a replica, its ledger or its leases."""
        self.touched[replica.replica] = replica
        if self.state.replicas.get(replica.replica) is replica:
            self.state.fleet(replica.ready.model).note(replica)

    def emit(self, command: Command) -> None:
        self.commands.append(command)

    def count(self, name: str, by: int = 1) -> None:
        """Counts what was done, once, at commit; names are those of `view.Counters`."""
        self.counts[name] += by

    def new_lease(self) -> LeaseId:
        self.num_leases_made += 1
        return LeaseId(f"{self.epoch}-{self.num_leases_made}")

    def replica_of(self, turn: Turn) -> Replica | None:
        return None if turn.replica is None else self.state.replicas.get(turn.replica)

    def reject(self, turn: Turn, error: HearthError, cause: Cause) -> None:
        """Answers the turn with an error, whatever its phase, and forgets it."""
        self.emit(Reject(turn.turn, turn.arrived.gateway, error, cause))
        self.count("num_turns_rejected")
        self.forget(turn)

    def forget(self, turn: Turn) -> None:
        self.state.turns.pop(turn.turn, None)
        self.queue.leave(turn)

    def requeue(self, turn: Turn, now: float) -> None:
        """Back into the queue, at the place its tag gives it."""
        turn.phase, turn.waiting_since = Phase.WAITING, now
        turn.replica = turn.lease = turn.granted_at = turn.started_at = turn.first_token_at = None
        turn.skipped_at, turn.ended_at, turn.told_position, turn.stuck = None, None, 0, None
        self.queue.enter(turn)
        self.dirty = True
