"""A machine with nodes, models and a loader that does what it is told, driven by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.core.commands import Command, Drain, Load, Place, Unload
from cluster.core.context import Limits
from cluster.core.events import (
    DeploymentDeclared,
    Event,
    GatewayUp,
    LeaseEnded,
    LeaseStarted,
    LoadAsked,
    LoaderReport,
    LoadFailed,
    NodeReport,
    NodeUp,
    ReplicaDraining,
    ReplicaGone,
    ReplicaReport,
    TurnFinished,
    UnloadAsked,
)
from cluster.core.facts import LeaseView, LoadedView, Locality
from cluster.core.ids import BootId, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId, TurnId
from cluster.core.layout import (
    EngineKind,
    Layout,
    ModelWish,
    NodeFacts,
    NoRoom,
    Shard,
    Variant,
    WeightsFormat,
)
from cluster.core.machine import RouterMachine
from cluster.core.swap import SwapPolicy, batched
from cluster.core.together import Planner
from cluster.core.view import ModelStatus
from tests.core.drive import CAUSE, Drive

GIB = 2**30


def simple_plan(
    wish: ModelWish,
    nodes: Mapping[NodeId, NodeFacts],
    free: Mapping[NodeId, int],
    most: Mapping[NodeId, int] | None = None,
    kv_share: int = 4,
) -> Layout | NoRoom:
    """Equal shards of the one variant on the nodes with most room."""
    variant, num = wish.variants[0], wish.pipeline_parallel or 1
    each = variant.weights_bytes // num
    able = sorted((node for node in nodes if free[node] >= each), key=lambda node: (-free[node], node))
    if len(able) < num:
        ever = sum(facts.models_bytes >= each for facts in nodes.values()) >= num
        room = max(free.values(), default=0)
        return NoRoom(
            f"{variant.source} needs {each / GIB:.0f} GiB on {num} node(s), {room / GIB:.0f} GiB are free.",
            "Unload a model, or choose a smaller one.",
            ever,
        )
    shards = tuple(Shard(node, each) for node in able[:num])
    return Layout(EngineKind.FAKE, variant.source, shards, 4096, 4096, "q4", 1, num)


def wish_of(model: str, gib: float, num_nodes: int = 1) -> ModelWish:
    variant = Variant(model, WeightsFormat.NONE, "q4", int(gib * GIB), 0, 4096)
    return ModelWish((variant,), pipeline_parallel=num_nodes)


@dataclass
class Home(Drive):
    """The loader obeys at once, unless `obeys` is False; a start takes until `started` says it is over."""

    swapping: SwapPolicy = batched
    planner: Planner = simple_plan
    obeys: bool = True
    loaded: dict[str, LoadedView] = field(default_factory=dict)
    nodes: dict[str, NodeFacts] = field(default_factory=dict)
    boots: dict[str, str] = field(default_factory=dict)
    num_boots: int = 0
    books: dict[str, dict[str, LeaseView]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.machine = RouterMachine(1, limits=self.limits, planner=self.planner, swapping=self.swapping)

    def node(self, name: str, gib: float) -> None:
        self.nodes[name] = NodeFacts(int(gib * GIB), engines=frozenset({EngineKind.FAKE}))
        self.tell(NodeUp(NodeId(name), int(gib * GIB), CAUSE, self.nodes[name]))

    def model(self, name: str, gib: float, num_nodes: int = 1, **more: object) -> None:
        """Fields of DeploymentDeclared by name."""
        wish = wish_of(name, gib, num_nodes)
        fields: dict[str, object] = {"wish": wish, **more}
        self.tell(DeploymentDeclared(DeploymentId(name), name, Locality.LOCAL, CAUSE, **fields))  # ty: ignore[invalid-argument-type]

    def tell(self, event: Event) -> list[Command]:
        commands = super().tell(event)
        for command in commands if self.obeys else ():
            if isinstance(command, Load):
                self.loaded.setdefault(command.deployment, LoadedView(command.deployment, command.layout))
            elif isinstance(command, Unload):
                self.loaded.pop(command.deployment, None)
                self.gone(command.deployment)
        return commands

    def report(self) -> list[Command]:
        return self.tell(LoaderReport(tuple(self.loaded.values()), CAUSE))

    def second(self, seconds: float = 1.0, silent: str = "") -> list[Command]:
        """Time passes with all there but the node of this name; fronts hear what they are told."""
        self.now += seconds
        said = self.tell(GatewayUp(GatewayId("g"), CAUSE))
        for name in self.nodes:
            if name != silent:
                said += self.tell(NodeReport(NodeId(name), 0, CAUSE))
        for model, boot in list(self.boots.items()):
            leases = tuple(self.books.setdefault(model, {}).values())
            said += self.tell(ReplicaReport(ReplicaId(model), BootId(boot), leases, (), (), CAUSE))
        for drain in [each for each in said if isinstance(each, Drain)]:
            self.tell(ReplicaDraining(drain.replica, drain.boot, CAUSE))
        return said + self.report() + self.tick(0.0)

    def seconds(self, num: int) -> None:
        for _ in range(num):
            self.second()

    def started(self, model: str) -> list[Command]:
        """The model's replica is ready."""
        self.num_boots += 1
        self.boots[model], self.books[model] = f"b{self.num_boots}", {}
        return self.ready(model, model=model, boot=self.boots[model])

    def gone(self, model: str) -> None:
        boot = self.boots.pop(model, None)
        if boot is not None:
            self.books[model].clear()
            self.tell(ReplicaGone(ReplicaId(model), BootId(boot), "unloaded", CAUSE))

    def loads(self, model: str, gib: float = 4, **more: object) -> None:
        """A model that is loaded and ready."""
        self.model(model, gib, 1, **more)
        self.load(model)
        self.seconds(1)
        self.started(model)

    def load(self, model: str) -> list[Command]:
        return self.tell(LoadAsked(model, CAUSE))

    def unload(self, model: str) -> list[Command]:
        return self.tell(UnloadAsked(model, CAUSE))

    def fails(self, model: str, reason: str = "the file is cut short") -> list[Command]:
        """The loader gives the start up and clears what was left of it."""
        said = self.tell(LoadFailed(DeploymentId(model), reason, CAUSE))
        self.loaded.pop(model, None)
        return said

    def turn(self, name: str, model: str, **more: object) -> list[Command]:
        return self.arrive(name, 10, model=model, **more)

    def runs(self, name: str, model: str, lease: str) -> None:
        """The front books what was granted."""
        self.books[model][lease] = next(
            LeaseView(place.lease, place.turn, place.session, place.reserved_tokens)
            for place in self.heard(Place)
            if place.lease == lease and place.turn == name
        )
        boot = BootId(self.boots[model])
        self.tell(LeaseStarted(ReplicaId(model), boot, LeaseId(lease), 10, 20, CAUSE))

    def ends(self, name: str, model: str, lease: str) -> list[Command]:
        self.books[model].pop(lease)
        boot = BootId(self.boots[model])
        said = self.tell(LeaseEnded(ReplicaId(model), boot, LeaseId(lease), 0, CAUSE))
        return said + self.tell(TurnFinished(TurnId(name), 10, 0, 10, CAUSE))

    def status(self, model: str) -> ModelStatus:
        view = self.machine.view(self.now)
        return next(each for each in view.models if each.model == model)

    def states(self) -> dict[str, str]:
        return {each.model: each.state for each in self.machine.view(self.now).models}


def home(
    *nodes: float,
    swapping: SwapPolicy = batched,
    limits: Limits | None = None,
    planner: Planner = simple_plan,
) -> Home:
    """A home with nodes of these sizes (GiB), and a loader that has nothing yet."""
    made = Home(limits or Limits(), swapping=swapping, planner=planner)
    for index, gib in enumerate(nodes):
        made.node(f"n{index + 1}", gib)
    made.report()
    return made


def loads_of(drive: Home) -> list[str]:
    return [load.deployment for load in drive.heard(Load)]


def unloads_of(drive: Home) -> list[str]:
    """An order may have been said twice before a report confirmed it."""
    return list(dict.fromkeys(unload.deployment for unload in drive.heard(Unload)))
