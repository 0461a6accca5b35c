"""Whatever happens in whatever order: no turn is lost, none answered twice, no replica over-committed,
the queue drains, every lease ends.

`HEARTH_CORE_STEPS=200000` (`make core-machine-long`) looks longer than `make test` does.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from cluster.core.events import (
    TurnArrived,
)
from cluster.core.facts import Capacity
from cluster.core.ids import Cause, GatewayId, ReplicaId, SessionKey, TurnId
from tests.core.sim import SimTurn
from tests.core.world import MODEL, World

STEPS_PER_RUN = 50
STEPS = int(os.environ.get("HEARTH_CORE_STEPS", "3000"))

replicas = st.sampled_from([ReplicaId("r1"), ReplicaId("r2"), ReplicaId("r3")])
gateways = st.sampled_from([GatewayId("g1"), GatewayId("g2")])
capacities = st.builds(
    Capacity,
    kv_tokens=st.integers(300, 4000),
    num_slots=st.integers(1, 4),
    window_tokens=st.integers(300, 3000),
    block_tokens=st.sampled_from([1, 16]),
    resident_holds_slot=st.booleans(),
)


class Machine(RuleBasedStateMachine):
    turns = Bundle("turns")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(capacity=capacities)
    def first_replica(self, capacity: Capacity) -> None:
        self.world.boot(ReplicaId("r1"), capacity)

    @rule(name=replicas, capacity=capacities)
    def boots(self, name: ReplicaId, capacity: Capacity) -> None:
        self.world.boot(name, capacity)

    @rule(name=replicas)
    def dies(self, name: ReplicaId) -> None:
        self.world.kill(name)

    @rule(
        target=turns,
        gateway=gateways,
        session=st.integers(0, 5),
        tenant=st.sampled_from(["ann", "bob"]),
        prompt=st.integers(1, 2000),
        error=st.floats(0.3, 4.0),
        output=st.integers(0, 900),
        max_tokens=st.one_of(st.none(), st.just(0), st.integers(1, 1200)),
        patience_s=st.sampled_from([1e6, 120.0, 5.0]),
    )
    def arrives(self, gateway, session, tenant, prompt, error, output, max_tokens, patience_s) -> SimTurn:  # noqa: ANN001
        self.world.num_turns += 1
        turn = TurnArrived(
            turn=TurnId(f"t{self.world.num_turns}"),
            gateway=gateway,
            session=SessionKey(tenant, f"s{session}"),
            model=MODEL,
            prompt_bytes=int(prompt * error * 3),
            cause=Cause("client"),
            max_tokens=max_tokens,
            patience_s=patience_s,
        )
        real = output if max_tokens is None else min(output, max_tokens)
        arrived = SimTurn(turn, prompt, real)
        self.world.arrive(arrived)
        return arrived

    @rule(gateway=gateways)
    def a_command_arrives(self, gateway: GatewayId) -> None:
        self.world.deliver(gateway)

    @rule(gateway=gateways)
    def a_command_is_lost(self, gateway: GatewayId) -> None:
        """Only what is acted on by its absence may be lost: a refusal is repeated by nobody."""
        pending = self.world.to_gateway[gateway]
        if pending and type(pending[0]).__name__ in {"Place", "Queue", "Measure"}:
            pending.popleft()

    @rule(name=replicas)
    def a_front_speaks(self, name: ReplicaId) -> None:
        self.world.flush(name)

    @rule(name=replicas)
    def a_front_obeys(self, name: ReplicaId) -> None:
        self.world.obey(name)

    @rule(name=replicas)
    def a_control_command_is_lost(self, name: ReplicaId) -> None:
        if self.world.to_front.get(name):
            self.world.to_front[name].popleft()

    @rule(turn=turns, num_tokens=st.integers(1, 400))
    def generates(self, turn: SimTurn, num_tokens: int) -> None:
        if turn.streaming:
            self.world.generate(turn, num_tokens)

    @rule(turn=turns)
    def connection_breaks(self, turn: SimTurn) -> None:
        if turn.streaming:
            self.world.release(turn)
            self.world.lose(turn, preempted=False)

    @rule(turn=turns)
    def client_leaves(self, turn: SimTurn) -> None:
        if not turn.over:
            self.world.cancel(turn)

    @rule(seconds=st.floats(0.1, 12.0))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(name=replicas, seconds=st.floats(5.1, 12.0))
    def a_front_is_silent(self, name: ReplicaId, seconds: float) -> None:
        self.world.pass_time(seconds, silent=name)

    @rule(name=replicas)
    def drains(self, name: ReplicaId) -> None:
        self.world.drain(name)

    @rule(name=replicas)
    def a_node_is_gone(self, name: ReplicaId) -> None:
        self.world.lose_node(name)

    @rule()
    def the_deployment_is_withdrawn(self) -> None:
        self.world.withdraw()

    @rule(gateway=gateways)
    def a_gateway_dies(self, gateway: GatewayId) -> None:
        self.world.gateway_dies(gateway)

    @rule(turn=turns)
    def a_gateway_tells_again(self, turn: SimTurn) -> None:
        if not turn.over and not turn.streaming:
            self.world.announce(turn)

    @rule()
    def router_is_replaced(self) -> None:
        self.world.new_router()

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        world = self.world
        world.boot(ReplicaId("r1"), Capacity(kv_tokens=8000, num_slots=4, window_tokens=8000))
        world.settle()
        left = [turn.arrived.turn for turn in world.turns.values() if not turn.over]
        assert not left, f"lost: {left}"
        view = world.machine.view(world.now)
        assert view.queue == ()
        assert {replica.replica for replica in view.replicas} == world.fronts.keys(), "a front was forgotten"
        assert all(replica.num_leases == 0 for replica in view.replicas), "a lease never ended"
        assert all(not front.ledger.leases for front in world.fronts.values())
        world.check()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=max(STEPS // STEPS_PER_RUN, 1),
    stateful_step_count=STEPS_PER_RUN,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
