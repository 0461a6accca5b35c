"""Whatever nodes, loader, people and turns do in whatever order: memory is never given twice, no turn in
flight is cut off, what is kept warm stays, and every turn that is not refused has its answer in the end.

`HEARTH_CORE_STEPS=200000` (`make core-machine-long`) looks longer than `make test` does.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from cluster.core.events import TurnArrived
from cluster.core.ids import Cause, DeploymentId, GatewayId, NodeId, ReplicaId, SessionKey, TurnId
from tests.core.life_world import MODELS, NODES, LifeWorld
from tests.core.sim import SimTurn
from tests.core.test_machine_properties import STEPS, STEPS_PER_RUN, gateways

models = st.sampled_from(sorted(MODELS))
deployments = st.sampled_from([DeploymentId(name) for name in sorted(MODELS)])
replicas = st.sampled_from([ReplicaId(name) for name in sorted(MODELS)])
nodes = st.sampled_from(sorted(NODES))


class Machine(RuleBasedStateMachine):
    turns = Bundle("turns")

    def __init__(self) -> None:
        super().__init__()
        self.world = LifeWorld()

    @initialize(num_rounds=st.sampled_from([0, 10, 10]))
    def some_are_loaded(self, num_rounds: int) -> None:
        for _ in range(num_rounds):
            self.world.round()

    @rule(target=turns, model=models, gateway=gateways, session=st.integers(0, 3), output=st.integers(0, 600))
    def arrives(self, model: str, gateway: GatewayId, session: int, output: int) -> SimTurn:
        self.world.num_turns += 1
        arrived = TurnArrived(
            turn=TurnId(f"t{self.world.num_turns}"),
            gateway=gateway,
            session=SessionKey("ann", f"s{session}"),
            model=model,
            prompt_bytes=300,
            cause=Cause("client"),
            patience_s=1e6,
        )
        turn = SimTurn(arrived, 100, output)
        self.world.arrive(turn)
        return turn

    @rule()
    def an_order_arrives(self) -> None:
        self.world.loader_obeys()

    @rule()
    def an_order_is_lost(self) -> None:
        if self.world.to_loader:
            self.world.to_loader.popleft()

    @rule()
    def an_order_comes_twice(self) -> None:
        if self.world.to_loader:
            self.world.to_loader.appendleft(self.world.to_loader[0])

    @rule()
    def the_loader_reports(self) -> None:
        self.world.loader_reports()

    @rule(twice=st.booleans())
    def the_loader_is_heard(self, twice: bool) -> None:
        self.world.loader_speaks(twice)

    @rule()
    def a_word_of_the_loader_is_lost(self) -> None:
        if self.world.from_loader:
            self.world.from_loader.popleft()

    @rule(name=deployments)
    def memory_is_free_again(self, name: DeploymentId) -> None:
        self.world.loader_frees(name)

    @rule(name=deployments)
    def a_start_succeeds(self, name: DeploymentId) -> None:
        self.world.starts(name)

    @rule(name=deployments)
    def a_start_fails(self, name: DeploymentId) -> None:
        self.world.fails(name)

    @rule(name=replicas)
    def an_engine_dies(self, name: ReplicaId) -> None:
        self.world.kill(name)

    @rule(node=nodes)
    def a_node_dies(self, node: NodeId) -> None:
        self.world.node_dies(node)

    @rule(node=nodes)
    def a_node_returns(self, node: NodeId) -> None:
        self.world.node_returns(node)

    @rule(name=models, load=st.booleans())
    def a_person_asks(self, name: str, load: bool) -> None:
        self.world.asked(name, load)

    @rule(name=replicas)
    def a_person_drains(self, name: ReplicaId) -> None:
        self.world.drain(name)

    @rule(gateway=gateways)
    def a_command_arrives(self, gateway: GatewayId) -> None:
        self.world.deliver(gateway)

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
    def client_leaves(self, turn: SimTurn) -> None:
        if not turn.over:
            self.world.cancel(turn)

    @rule(seconds=st.floats(0.1, 40.0))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def all_is_well_for_a_while(self) -> None:
        for _ in range(6):
            self.world.round()

    @rule(name=replicas, seconds=st.floats(5.1, 12.0))
    def a_front_is_silent(self, name: ReplicaId, seconds: float) -> None:
        self.world.pass_time(seconds, silent=name)

    @rule()
    def router_is_replaced(self) -> None:
        self.world.new_router()

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        world = self.world
        for node in NODES:
            world.node_returns(node)
        world.settle()
        left = [turn.arrived.turn for turn in world.turns.values() if not turn.over]
        assert not left, f"they wait for ever: {left}"
        assert world.machine.view(world.now).queue == ()
        world.check()


TestLife = Machine.TestCase
TestLife.settings = settings(
    max_examples=max(STEPS // STEPS_PER_RUN // 2, 1),
    stateful_step_count=STEPS_PER_RUN,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
