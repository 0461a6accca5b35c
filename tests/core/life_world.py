"""The small world with nodes, models that want more memory than there is, and a loader that obeys late.

Orders to the loader and its words come in order, late, twice, or not at all; an order or a word that is
more than WIRE_S old is dropped, as its deadline has it.
"""

from collections import deque
from dataclasses import replace

from cluster.core.commands import Command, Load, Place, ToLoader, Unload
from cluster.core.events import (
    DeploymentDeclared,
    DrainAsked,
    Event,
    LoadAsked,
    LoaderReport,
    LoadFailed,
    NodeReport,
    NodeUp,
    UnloadAsked,
)
from cluster.core.facts import Capacity, LoadedView, Locality
from cluster.core.ids import BootId, Cause, DeploymentId, GatewayId, LeaseId, NodeId, ReplicaId
from cluster.core.layout import Layout, NodeFacts
from cluster.core.ledger import Ledger
from cluster.core.machine import RouterMachine
from cluster.core.view import ModelStatus
from tests.core.managed import GIB, simple_plan, wish_of
from tests.core.sim import SimFront, ready_of
from tests.core.world import World

WIRE_S = 5.0
SILENT_S = 29.0
CAPACITY = Capacity(kv_tokens=4000, num_slots=2, window_tokens=4000)
NODES = {NodeId("n1"): 10, NodeId("n2"): 6}
MODELS: dict[str, tuple[float, int]] = {"warm": (2, 1), "a": (4, 1), "b": (4, 1), "c": (5, 1), "gang": (8, 2)}
"""GiB and nodes of each.  `warm` is kept warm."""


class LifeWorld(World):
    def __init__(self) -> None:
        self.nodes = {node: NodeFacts(gib * GIB) for node, gib in NODES.items()}
        self.away: set[NodeId] = set()
        self.told_epoch: dict[NodeId, int] = {}
        self.held: dict[DeploymentId, Layout] = {}
        self.ending: set[DeploymentId] = set()
        self.to_loader: deque[tuple[float, ToLoader]] = deque()
        self.from_loader: deque[tuple[float, Event]] = deque()
        self.heard: dict[str, float] = {}
        self.placed_at: dict[LeaseId, float] = {}
        self.excused: set[str] = set()
        super().__init__()

    def make_machine(self) -> RouterMachine:
        return RouterMachine(self.epoch, planner=simple_plan)

    def declare(self) -> None:
        for name, (gib, num_nodes) in MODELS.items():
            wish = wish_of(name, gib, num_nodes)
            cause, local = Cause("config"), Locality.LOCAL
            self.tell(
                DeploymentDeclared(DeploymentId(name), name, local, cause, wish, keep_warm=name == "warm")
            )

    def carry(self, command: Command) -> None:
        if isinstance(command, ToLoader):
            self.to_loader.append((self.now, command))
        else:
            if isinstance(command, Place):
                self.placed_at[command.lease] = self.now
            super().carry(command)

    def deliver(self, gateway: GatewayId) -> None:
        """A place that is on its way for too long is dropped, as its deadline has it."""
        pending = self.to_gateway[gateway]
        first = pending[0] if pending else None
        if isinstance(first, Place) and self.now - self.placed_at[first.lease] > WIRE_S:
            pending.popleft()
        else:
            super().deliver(gateway)

    # the loader

    def loader_obeys(self) -> None:
        """One order reaches it, unless it is too old."""
        if not self.to_loader:
            return
        said_at, order = self.to_loader.popleft()
        if self.now - said_at > WIRE_S:
            return
        match order:
            case Load(deployment=name, layout=layout) if name not in self.held:
                self.held[name] = layout
                if set(layout.nodes) & self.away:
                    self.excused.add(name)
                self._check_memory()
            case Unload(deployment=name) if name in self.held and name not in self.ending:
                self._check_unload(name)
                self.ending.add(name)
                self.kill(ReplicaId(name))
            case _:
                pass

    def loader_frees(self, name: DeploymentId) -> None:
        """What it was told to end has ended."""
        if name in self.ending:
            self.ending.discard(name)
            self.held.pop(name)

    def starts(self, name: DeploymentId) -> None:
        """A start comes to its end: the replica is ready."""
        if name not in self.held or name in self.ending or ReplicaId(name) in self.fronts:
            return
        if not set(self.held[name].nodes) & self.away:
            self.boot(ReplicaId(name), CAPACITY)

    def fails(self, name: DeploymentId) -> None:
        if name in self.held and name not in self.ending and ReplicaId(name) not in self.fronts:
            self.excused.add(name)
            self.from_loader.append((self.now, LoadFailed(name, "it cannot be read", Cause("loader"))))
            self.ending.add(name)

    def loader_reports(self) -> None:
        views = tuple(LoadedView(name, layout, name in self.ending) for name, layout in self.held.items())
        self.from_loader.append((self.now, LoaderReport(views, Cause("loader"))))

    def loader_speaks(self, twice: bool = False) -> None:
        """One word of it reaches the router, unless it is too old."""
        if self.from_loader:
            said_at, event = self.from_loader.popleft()
            if self.now - said_at <= WIRE_S:
                for _ in range(1 + twice):
                    self.tell(event)

    def _check_memory(self) -> None:
        """What is really held, on every node."""
        for node, facts in self.nodes.items():
            shards = [shard for layout in self.held.values() for shard in layout.shards if shard.node == node]
            assert sum(shard.memory_bytes for shard in shards) <= facts.models_bytes, f"{node}: {self.held}"

    def _stays(self, model: ModelStatus) -> bool:
        """Whether it is ready, and nobody has said anything that ends it."""
        front = self.fronts.get(ReplicaId(model.model))
        ends = any(
            isinstance(order, Unload) and order.deployment == model.model for _, order in self.to_loader
        )
        return model.state == "ready" and front is not None and not front.draining and not ends

    def _check_unload(self, name: DeploymentId) -> None:
        assert name != "warm" or name in self.excused, "what is kept warm was unloaded"
        front = self.fronts.get(ReplicaId(name))
        if front is None or set(self.held[name].nodes) & self.away:
            return
        silent_s = self.now - self.heard.get(name, self.now)
        assert not front.ledger.leases or silent_s > SILENT_S, f"{name} was unloaded with turns in flight"

    # fronts and nodes

    def boot(self, name: ReplicaId, capacity: Capacity) -> None:
        self.kill(name)
        self.num_boots += 1
        deployment = DeploymentId(name)
        ready = replace(
            ready_of(name, BootId(f"b{self.num_boots}"), capacity),
            deployment=deployment,
            model=str(name),
            node=self.held[deployment].nodes[0],
        )
        self.fronts[name] = SimFront(ready, Ledger(capacity))
        self.to_front[name] = deque()
        self.fronts[name].say(ready)
        self.heard[name] = self.now

    def node_dies(self, node: NodeId) -> None:
        """With all that has a shard there."""
        self.away.add(node)
        for name, layout in self.held.items():
            if node in layout.nodes:
                self.excused.add(name)
                self.kill(ReplicaId(name))

    def node_returns(self, node: NodeId) -> None:
        self.away.discard(node)
        self.told_epoch.pop(node, None)

    def asked(self, name: str, load: bool) -> None:
        if not load:
            self.excused.add(name)
        cause = Cause("person")
        self.tell(LoadAsked(name, cause) if load else UnloadAsked(name, cause))

    def drain(self, name: ReplicaId) -> None:
        self.excused.add(name)
        self.tell(DrainAsked(name, Cause("people")))

    def pass_time(self, seconds: float, silent: str = "") -> None:
        self.now += seconds
        for node, facts in self.nodes.items():
            if node in self.away:
                continue
            if self.told_epoch.get(node) != self.epoch:
                self.told_epoch[node] = self.epoch
                self.tell(NodeUp(node, facts.models_bytes, Cause("node"), facts))
            self.tell(NodeReport(node, 0, Cause("node")))
        self.heard |= {name: self.now for name in self.fronts if name != silent}
        super().pass_time(0.0, silent)
        self.excused -= {each.model for each in self.machine.view(self.now).models if self._stays(each)}

    def new_router(self) -> None:
        self.to_loader.clear()
        self.from_loader.clear()
        super().new_router()

    def round(self) -> None:
        """The loader is prompt: a start takes a few rounds."""
        super().round()
        while self.to_loader:
            self.loader_obeys()
        for name in list(self.ending):
            self.loader_frees(name)
        self.loader_reports()
        while self.from_loader:
            self.loader_speaks()
        if self.num_rounds % 4 == 0:
            for name in list(self.held):
                self.starts(name)

    def check(self) -> None:
        super().check()
        self._check_memory()
